#include <string>
#include <vector>

#include "capdiff/base/error.h"
#include "capdiff/metrics/meteor.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/metrics/meteor_data.h"

namespace {

capdiff::Meteor small_meteor() {
  const capdiff::test::MeteorData data;
  data.write_paraphrases("0.1\nbig dog\nhound\n0.1\nthe\na\n0.1\na a\nthe\n0.1\ndog\nman in the grass\n");
  return capdiff::Meteor(data.resources());
}

void require(bool holds, const char* what) {
  if (!holds) capdiff::fail(capdiff::ErrorCode::internal, "{}", what);
}

}  // namespace

/// The first line is a hypothesis, the others are its references. No word may be matched twice, and the counts must be
/// those of the alignment.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const capdiff::Meteor meteor = small_meteor();
  return capdiff::fuzz::refuses_or_reads(data, size, [](std::span<const std::byte> bytes) {
    const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    std::vector<std::string> lines{""};
    for (const char c : text) {
      if (c == '\n') {
        lines.emplace_back();
      } else {
        lines.back().push_back(c);
      }
    }
    const auto score = meteor.score(lines.front(), std::span(lines).subspan(1));
    require(score.values.score >= 0 && score.values.score <= 1, "a score is not in [0, 1]");
    require(score.best_reference + 1 < lines.size(), "the best reference is none");
    std::vector<bool> hypothesis(static_cast<std::size_t>(score.statistics.hypothesis_words));
    std::int32_t reference_end = 0;
    std::int64_t words = 0;
    for (const auto& match : score.alignment) {
      require(match.reference_begin >= reference_end, "a word of the reference is matched twice");
      reference_end = match.reference_begin + match.reference_words;
      for (std::int32_t i = 0; i < match.hypothesis_words; ++i) {
        const auto at = static_cast<std::size_t>(match.hypothesis_begin + i);
        require(at < hypothesis.size() && !hypothesis[at], "a word of the hypothesis is matched twice");
        hypothesis[at] = true;
      }
      words += match.hypothesis_words;
    }
    require(reference_end <= score.statistics.reference_words, "a match ends behind the reference");
    require(words == score.statistics.hypothesis_matches(), "matches and counts differ");
  });
}
