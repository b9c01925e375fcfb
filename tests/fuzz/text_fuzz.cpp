#include <algorithm>
#include <string_view>

#include "capdiff/text/clean_caption.h"
#include "capdiff/text/wordpiece.h"
#include "tests/fuzz/fuzz_target.h"

/// The first line is a caption, the rest a vocabulary.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return capdiff::fuzz::refuses_or_reads(data, size, [](std::span<const std::byte> bytes) {
    static const capdiff::WordPieceTokenizer kTokenizer(
        capdiff::Vocabulary({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "a", "##b", "dog"}, "fuzz"));
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const std::size_t line = std::min(text.find('\n'), text.size());
    kTokenizer.encode(capdiff::clean_caption(text.substr(0, line)), 16);
    capdiff::WordPieceTokenizer(capdiff::Vocabulary::parse(text.substr(line), "fuzz")).tokenize(text.substr(0, line));
  });
}
