#include "capdiff/image/decode.h"
#include "tests/fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  int result = 0;
  for (const bool allow_truncated : {false, true})
    result = capdiff::fuzz::refuses_or_reads(data, size, [&](std::span<const std::byte> bytes) {
      constexpr std::uint64_t kSmall = 1 << 20;  // keeps the fuzzer fast
      capdiff::decode(bytes, "fuzz", {.max_pixels = kSmall, .allow_truncated = allow_truncated});
    });
  return result;
}
