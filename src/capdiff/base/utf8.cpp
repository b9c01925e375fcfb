#include "capdiff/base/utf8.h"

#include <utf8proc.h>

#include <algorithm>

namespace capdiff {

bool is_utf8(std::string_view text) {
  const auto* at = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const auto* const end = at + text.size();
  while (at < end) {
    if (*at < 0x80) {
      ++at;
      continue;
    }
    utf8proc_int32_t code_point = 0;
    const utf8proc_ssize_t length = utf8proc_iterate(at, end - at, &code_point);
    if (length <= 0) return false;
    at += length;
  }
  return true;
}

std::string printable(std::string_view text) {
  constexpr std::size_t kLongest = 64;
  std::string result(text.substr(0, kLongest));
  std::replace_if(
      result.begin(), result.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return result + (text.size() > kLongest ? "..." : "");
}

std::string without_controls(std::string_view text) {
  std::string result;
  const auto* const bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  for (std::size_t at = 0; at < text.size();) {
    utf8proc_int32_t code_point = 0;
    const utf8proc_ssize_t length =
        utf8proc_iterate(bytes + at, static_cast<utf8proc_ssize_t>(text.size() - at), &code_point);
    const bool shown = length > 0 && utf8proc_category(code_point) != UTF8PROC_CATEGORY_CC;
    const std::size_t taken = length > 0 ? static_cast<std::size_t>(length) : 1;
    result += shown ? text.substr(at, taken) : "\uFFFD";
    at += taken;
  }
  return result;
}

}  // namespace capdiff
