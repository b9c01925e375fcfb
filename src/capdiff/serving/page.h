#pragma once

#include <string>
#include <string_view>

#include "capdiff/serving/http.h"

namespace capdiff {

/// A file of the web page, which is part of the program.
struct PageFile {
  std::string_view name, bytes;
};

/// The file at "/" (index.html) or "/NAME", or null.
const PageFile* find_page_file(std::string_view target);
HttpResponse page_response(const PageFile& file);

}  // namespace capdiff
