#pragma once

#include <utf8proc.h>

namespace capdiff {

/// Unicode's general category of a code point: UTF8PROC_CATEGORY_LU and its like.
inline utf8proc_category_t unicode_category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

}  // namespace capdiff
