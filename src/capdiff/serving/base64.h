#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

namespace capdiff {

/// The bytes of standard base64 (RFC 4648, section 4), or nothing where the text is anything else: padding is required,
/// line breaks, other alphabets and bits that belong to no byte are refused.
std::optional<std::vector<std::byte>> decode_base64(std::string_view text);

}  // namespace capdiff
