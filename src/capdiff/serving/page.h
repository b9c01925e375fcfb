#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "capdiff/serving/http.h"

namespace capdiff {

/// A file of the web page, which is part of the program.
struct PageFile {
  std::string_view name, bytes;
};

/// The file of the page at "/", "/page.css", …, or nothing.
std::optional<HttpResponse> page_response(std::string_view target);

}  // namespace capdiff
