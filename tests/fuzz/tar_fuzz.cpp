#include <cstdlib>

#include "capdiff/formats/tar_archive.h"
#include "tests/fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return capdiff::fuzz::refuses_or_reads(data, size, [](std::span<const std::byte> bytes) {
    for (const capdiff::TarEntry& entry : capdiff::read_tar_entries(bytes, "fuzz"))
      if (entry.offset > bytes.size() || entry.size > bytes.size() - entry.offset) std::abort();
  });
}
