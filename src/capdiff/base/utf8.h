#pragma once

#include <string_view>

namespace capdiff {

/// Whether `text` is well-formed UTF-8: no overlong forms, surrogates or truncated sequences.
bool is_utf8(std::string_view text);

}  // namespace capdiff
