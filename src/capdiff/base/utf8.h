#pragma once

#include <string>
#include <string_view>

namespace capdiff {

/// Whether `text` is well-formed UTF-8: no overlong forms, surrogates or truncated sequences.
bool is_utf8(std::string_view text);

/// Text from a file for an error message: cut to 64 bytes, and with `?` for all but printable ASCII.
std::string printable(std::string_view text);

/// Text for a terminal, whole: U+FFFD for every control character and every byte that is not UTF-8.
std::string without_controls(std::string_view text);

}  // namespace capdiff
