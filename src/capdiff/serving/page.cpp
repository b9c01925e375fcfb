#include "capdiff/serving/page.h"

#include <span>

namespace capdiff {

/// The files of serving/page/, written into the program by cmake/embed_page.cmake.
std::span<const PageFile> embedded_page();

namespace {

std::string_view page_type(std::string_view name) {
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
  return "text/html; charset=utf-8";
}

}  // namespace

std::optional<HttpResponse> page_response(std::string_view target) {
  const std::string_view name = target == "/" ? "index.html" : target.substr(1);
  for (const PageFile& file : embedded_page()) {
    if (file.name != name || target == "/index.html") continue;
    return HttpResponse{
        .content_type = std::string(page_type(name)),
        .body = std::string(file.bytes),
        .headers = {{"Content-Security-Policy",
                     "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'; base-uri 'none'"},
                    {"Referrer-Policy", "no-referrer"},
                    {"Cache-Control", "no-cache"}}};
  }
  return std::nullopt;
}

}  // namespace capdiff
