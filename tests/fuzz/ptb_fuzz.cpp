#include <string>
#include <vector>

#include "capdiff/base/error.h"
#include "capdiff/metrics/ptb_tokenizer.h"
#include "tests/fuzz/fuzz_target.h"

/// A line is a caption. No word may be empty, and a text's own tokens without punctuation are those of it as a caption.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return capdiff::fuzz::refuses_or_reads(data, size, [](std::span<const std::byte> bytes) {
    const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    std::vector<std::string> captions{""};
    for (const char c : text) {
      if (c == '\n') {
        captions.emplace_back();
      } else {
        captions.back().push_back(c);
      }
    }
    const capdiff::PtbTokenizer tokenizer;
    for (const auto& words : tokenizer.tokenize(captions)) {
      for (const auto& word : words) {
        if (word.empty()) capdiff::fail(capdiff::ErrorCode::internal, "an empty word");
      }
    }
    const auto alone = tokenizer.tokenize(std::span(captions).first(1)).at(0);
    if (alone != capdiff::without_ptb_punctuation(capdiff::ptb_tokens(captions[0]))) {
      capdiff::fail(capdiff::ErrorCode::internal, "a caption on its own is cut in two ways");
    }
  });
}
