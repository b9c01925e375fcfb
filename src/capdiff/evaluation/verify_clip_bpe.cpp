#include <nlohmann/json.hpp>

#include "capdiff/base/files.h"
#include "capdiff/base/hash.h"
#include "capdiff/evaluation/golden_text.h"
#include "capdiff/evaluation/verify_kinds.h"
#include "capdiff/formats/json_reader.h"
#include "capdiff/text/clip_bpe.h"

namespace capdiff {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kVocabulary = "bpe_simple_vocab_16e6.txt.gz";
constexpr std::string_view kTruncated = "_truncated";

/// The length in "ids77" and "ids77_truncated".
std::optional<std::int64_t> length_of(std::string_view key) {
  if (key.ends_with(kTruncated)) key.remove_suffix(kTruncated.size());
  return number_behind("ids", key);
}

}  // namespace

GoldenReport verify_clip_bpe(const std::filesystem::path& folder,
                             const std::optional<std::filesystem::path>& vocabulary) {
  GoldenReport report;
  const std::filesystem::path file = find_vocabulary(folder, vocabulary, {.own = kVocabulary, .shared = kVocabulary});
  const ClipBpe bpe = ClipBpe::load(file);
  const Json golden = read_json(folder / kClipBpeGoldens);
  report.part("json.clip_bpe", [&] {
    if (golden.contains("vocab_gz_sha256"))
      report.compare_json("clip_bpe.vocab_gz_sha256", golden.at("vocab_gz_sha256"),
                          sha256_hex(read_file(file, kMaxVocabularyBytes)));
    report.compare_json("clip_bpe.n_vocab", golden.at("n_vocab"), bpe.size());
    report.compare_json("clip_bpe.sot", golden.at("sot"), bpe.start_of_text());
    report.compare_json("clip_bpe.eot", golden.at("eot"), bpe.end_of_text());
  });
  for_each_case(report, "clip_bpe.cases", golden.at("cases"), [&](const std::string& path, const Json& example) {
    const std::string text = example.at("text");
    const std::vector<std::int64_t> ids = bpe.tokenize_to_ids(text);
    report.compare_json(path + ".ids", example.at("ids"), ids);
    report.compare_json(path + ".tokens", example.at("tokens"), bpe.tokenize(text));
    report.compare_json(path + ".decoded", example.at("decoded"), bpe.decode(ids));
    bool truncated = false;
    for (const auto& [key, expected] : example.items()) {
      const std::optional<std::int64_t> length = length_of(key);
      if (!length) continue;
      const EncodedText encoded = bpe.encode(text, *length);
      truncated |= encoded.truncated;
      report.compare_json(path + "." + key, expected, encoded.ids);
    }
    if (example.contains("too_long")) report.compare_json(path + ".too_long", example.at("too_long"), truncated);
  });
  return report;
}

}  // namespace capdiff
