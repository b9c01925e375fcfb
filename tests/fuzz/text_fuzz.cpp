#include <algorithm>
#include <string_view>

#include "capdiff/text/clean_caption.h"
#include "capdiff/text/word_vocabulary.h"
#include "capdiff/text/wordpiece.h"
#include "tests/fuzz/fuzz_target.h"

/// The first line is a caption, the rest a vocabulary: of whole words where it begins as one does, else of pieces.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return capdiff::fuzz::refuses_or_reads(data, size, [](std::span<const std::byte> bytes) {
    static const capdiff::WordPieceTokenizer kTokenizer(
        capdiff::Vocabulary({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "a", "##b", "dog"}, "fuzz"));
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const std::size_t line = std::min(text.find('\n'), text.size());
    const std::string_view caption = text.substr(0, line);
    const std::string_view vocabulary = text.substr(std::min(line + 1, text.size()));
    kTokenizer.encode(capdiff::clean_caption(caption), 16);
    if (vocabulary.starts_with("START")) {
      const capdiff::WordVocabulary words(capdiff::vocabulary_lines(vocabulary), "fuzz");
      words.text(words.encode(caption, 16).ids);
    } else {
      capdiff::WordPieceTokenizer(capdiff::Vocabulary::parse(vocabulary, "fuzz")).tokenize(caption);
    }
  });
}
