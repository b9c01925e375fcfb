#include "capdiff/serving/page.h"

#include <algorithm>
#include <span>

namespace capdiff {

/// The files of serving/page/, written into the program by cmake/embed_page.cmake.
std::span<const PageFile> embedded_page();

namespace {

std::string_view page_type(std::string_view name) {
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (name.ends_with(".svg")) return "image/svg+xml";
  return "text/html; charset=utf-8";
}

}  // namespace

const PageFile* find_page_file(std::string_view target) {
  if (!target.starts_with('/')) return nullptr;
  const std::string_view name = target == "/" ? "index.html" : target.substr(1);
  const auto found = std::ranges::find(embedded_page(), name, &PageFile::name);
  return found == embedded_page().end() ? nullptr : &*found;
}

HttpResponse page_response(const PageFile& file) {
  return {.content_type = std::string(page_type(file.name)),
          .body = std::string(file.bytes),
          .headers = {{"Content-Security-Policy",
                       "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'; base-uri 'none'"},
                      {"Referrer-Policy", "no-referrer"},
                      {"Cache-Control", "no-cache"}}};
}

}  // namespace capdiff
