#include "capdiff/base/utf8.h"

#include <utf8proc.h>

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

}  // namespace capdiff
