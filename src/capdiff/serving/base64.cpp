#include "capdiff/serving/base64.h"

#include <array>
#include <cstdint>

namespace capdiff {
namespace {

constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kNoDigit = 0xff;

constexpr std::array<std::uint8_t, 256> base64_digits() {
  std::array<std::uint8_t, 256> digits{};
  digits.fill(kNoDigit);
  for (std::size_t i = 0; i < kBase64.size(); ++i)
    digits[static_cast<unsigned char>(kBase64[i])] = static_cast<std::uint8_t>(i);
  return digits;
}

}  // namespace

std::optional<std::vector<std::byte>> decode_base64(std::string_view text) {
  static constexpr auto kDigits = base64_digits();
  if (text.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && text.ends_with('=')) {
    text.remove_suffix(1);
    ++padding;
  }
  std::vector<std::byte> bytes;
  bytes.reserve(text.size() / 4 * 3 + 2);
  std::uint32_t bits = 0, digits = 0, wrong = 0;
  for (const char c : text) {
    const std::uint8_t digit = kDigits[static_cast<unsigned char>(c)];
    wrong |= digit & 0x80u;
    bits = bits << 6 | digit;
    if (++digits % 4 != 0) continue;
    for (const int shift : {16, 8, 0}) bytes.push_back(static_cast<std::byte>(bits >> shift));
  }
  // What is left are 12 or 18 bits, of which 4 or 2 belong to no byte.
  if (padding == 2) {
    wrong |= bits & 0xfu;
    bytes.push_back(static_cast<std::byte>(bits >> 4));
  } else if (padding == 1) {
    wrong |= bits & 0x3u;
    bytes.push_back(static_cast<std::byte>(bits >> 10));
    bytes.push_back(static_cast<std::byte>(bits >> 2));
  }
  if (wrong != 0) return std::nullopt;
  return bytes;
}

}  // namespace capdiff
