#include <algorithm>
#include <string_view>

#include "capdiff/base/utf8.h"
#include "capdiff/text/clip_bpe.h"
#include "capdiff/text/html.h"
#include "tests/fuzz/fuzz_target.h"

/// The first line is a caption, the rest merges. What tokens stand for is UTF-8, whatever they were cut from.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return capdiff::fuzz::refuses_or_reads(data, size, [](std::span<const std::byte> bytes) {
    static const capdiff::ClipBpe kBpe =
        capdiff::ClipBpe::parse("a a\naa a\nt h\nth e</w>\n& a\nd o\ndo g</w>\n", "fuzz");
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const std::size_t line = std::min(text.find('\n'), text.size());
    const std::string_view caption = text.substr(0, line);
    capdiff::unescape_html(caption);
    kBpe.encode(caption, 16);
    if (!capdiff::is_utf8(kBpe.decode(kBpe.tokenize_to_ids(caption))))
      capdiff::fail(capdiff::ErrorCode::internal, "tokens that are no text");
    const capdiff::ClipBpe own = capdiff::ClipBpe::parse(text.substr(std::min(line + 1, text.size())), "fuzz");
    own.decode(own.tokenize_to_ids(caption));
  });
}
