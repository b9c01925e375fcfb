#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "capdiff/evaluation/verify_kinds.h"
#include "capdiff/formats/json_reader.h"
#include "capdiff/metrics/diversity.h"
#include "capdiff/text/word_vocabulary.h"

namespace capdiff {
namespace {

Tokens words_between_spaces(const std::string& caption) {
  Tokens words;
  for (std::size_t begin = 0; begin <= caption.size();) {
    const std::size_t end = std::min(caption.find(' ', begin), caption.size());
    if (end > begin) words.push_back(caption.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

void verify_distinct(const std::string& path, const nlohmann::json& set, GoldenReport& report) {
  std::vector<Tokens> captions;
  for (const std::string& caption : set.at("captions").get<std::vector<std::string>>())
    captions.push_back(words_between_spaces(caption));
  const Diversity computed = diversity(captions);
  constexpr double kHalfOfTheFourthDigit = 0.5e-4;
  report.compare_json(path + "dist", set.at("dist"), computed.dist, kScoreTolerance);
  report.compare_json(path + "dist_rounded4", set.at("dist_rounded4"), computed.dist,
                      kHalfOfTheFourthDigit + kScoreTolerance);
  report.compare_json(path + "distinct_words", set.at("distinct_words"), computed.distinct_words);
  report.compare_json(path + "total_words", set.at("total_words"), computed.words);
  report.compare_json(path + "vocab_usage", set.at("vocab_usage"), computed.vocabulary_usage(set.at("vocab_size")),
                      kScoreTolerance);
}

void verify_sentence(const std::string& path, const nlohmann::json& sentence, GoldenReport& report) {
  const std::string words = sentence.at("text");
  report.compare_json(path + "as_coded", sentence.at("as_coded"), released_sentence(words));
  report.compare_json(path + "as_coded_keep_punctuation", sentence.at("as_coded_keep_punctuation"),
                      released_sentence(words, {.cut_at_pad = false, .keep_punctuation = true}));
  report.compare_json(path + "cut_at_PAD_variant", sentence.at("cut_at_PAD_variant"),
                      released_sentence(words, {.cut_at_pad = true, .keep_punctuation = false}));
}

}  // namespace

void verify_diversity(const std::filesystem::path& file, GoldenReport& report) {
  const nlohmann::json golden = read_json(file);
  for (const auto& [key, verify_one] :
       {std::pair("distinct", &verify_distinct), std::pair("sentence_post", &verify_sentence)}) {
    std::size_t index = 0;
    for (const nlohmann::json& entry : golden.at(key)) {
      const std::string path = fmt::format("{}.{}.", key, index++);
      report.part("json." + path, [&] { verify_one(path, entry, report); });
    }
  }
}

}  // namespace capdiff
