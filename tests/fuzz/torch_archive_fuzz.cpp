#include <string>

#include "capdiff/formats/torch_archive.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/support/torch_file.h"

/// A whole file where the bytes begin as one does; else a pickle without its first opcode, the protocol, put into a zip
/// file with a storage "0" of 48 bytes, so that checksums do not stand in the way.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return capdiff::fuzz::refuses_or_reads(data, size, [](std::span<const std::byte> bytes) {
    const bool whole = capdiff::TorchArchive::recognises(bytes);
    const std::string pickle(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const std::string wrapped = whole ? "" : capdiff::test::torch_zip(pickle, {{"0", std::string(48, '\0')}});
    const auto archive =
        capdiff::TorchArchive::parse(whole ? bytes : std::as_bytes(std::span(wrapped)), nullptr, "fuzz");
    for (const auto& [name, entry] : archive.entries()) archive.tensor(name);
  });
}
