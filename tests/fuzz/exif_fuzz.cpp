#include "capdiff/image/exif.h"
#include "tests/fuzz/fuzz_target.h"

/// A JPEG file whose EXIF segment is sought, and a TIFF structure on its own.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return capdiff::fuzz::refuses_or_reads(data, size, [](std::span<const std::byte> bytes) {
    for (const std::span<const std::byte> tiff : {capdiff::find_jpeg_exif(bytes), bytes}) {
      const auto orientation = static_cast<int>(capdiff::exif_orientation(tiff));
      if (orientation < 1 || orientation > 8)
        capdiff::fail(capdiff::ErrorCode::internal, "an orientation that there is not");
    }
  });
}
