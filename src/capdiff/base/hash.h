#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace capdiff {

/// SHA-256 in lower-case hexadecimal: for checksums that people compare.
std::string sha256_hex(std::span<const std::byte> bytes);

/// XXH3 of 64 bits, seed 0: fast and stable, for identifying content, not for security.
std::uint64_t xxh3_64(std::span<const std::byte> bytes);

/// CRC-32C (Castagnoli), as iSCSI (RFC 3720) and TFRecord files use it.
std::uint32_t crc32c(std::span<const std::byte> bytes);

}  // namespace capdiff
