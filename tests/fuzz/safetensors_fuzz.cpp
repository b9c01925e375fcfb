#include "capdiff/formats/safetensors.h"
#include "tests/fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return capdiff::fuzz::refuses_or_reads(data, size, [](std::span<const std::byte> bytes) {
    const auto file = capdiff::SafetensorsFile::parse(bytes, nullptr, "fuzz");
    for (const std::string& name : file.names()) capdiff::require_finite(file.tensor(name), name, "fuzz");
  });
}
