#pragma once

#include <string_view>

namespace capdiff {

/// The 2,125 named characters of the HTML standard, in the order of their names, with spaces between them:
/// "name=code+code". Code points are hexadecimal; "name?=" marks the 106 that need no semicolon.
std::string_view html_entities();

}  // namespace capdiff
