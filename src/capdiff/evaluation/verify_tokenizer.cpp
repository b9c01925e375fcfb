#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/base/hash.h"
#include "capdiff/captioners/ladic_model.h"
#include "capdiff/evaluation/golden_text.h"
#include "capdiff/evaluation/verify_kinds.h"
#include "capdiff/formats/json_reader.h"
#include "capdiff/text/clean_caption.h"
#include "capdiff/text/detokenise.h"
#include "capdiff/text/wordpiece.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Ids = std::vector<std::int64_t>;

/// The tokeniser's goldens, file by file. Lengths and numbers of words are those in the names of the keys.
class TokenizerVerification {
 public:
  TokenizerVerification(const fs::path& vocabulary, GoldenReport& report)
      : vocabulary_file_(vocabulary), tokenizer_(Vocabulary::load(vocabulary)), report_(report) {}

  void tokenising(const Json& golden) {
    if (golden.contains("vocab_sha256"))
      report_.compare_json("wordpiece.vocab_sha256", golden.at("vocab_sha256"),
                           sha256_hex(read_file(vocabulary_file_, kMaxVocabularyBytes)));
    for_each_case("wordpiece.tokenize", golden.at("tokenize"), [&](const std::string& path, const Json& example) {
      const std::string text = example.at("text");
      report_.compare_json(path + ".tokens", example.at("tokens"), tokenizer_.tokenize(text));
      report_.compare_json(path + ".ids", example.at("ids"), tokenizer_.tokenize_to_ids(text));
      encodings(path, example, text);
      if (const auto literal = example.find("tokens_if_literals_were_plain_text"); literal != example.end())
        report_.compare_json(path + "." + literal.key(), *literal, tokenizer_.tokenize_literally(text));
    });
  }

  void cleaning(const Json& golden) {
    for_each_case("cleaning.cases", golden.at("cases"), [&](const std::string& path, const Json& example) {
      const std::string text = example.at("text");
      const auto blip = [&](std::int64_t words) {
        return clean_caption(text, {.max_words = static_cast<std::size_t>(words), .keep_full_stop = false});
      };
      for (const auto& [key, expected] : example.items()) {
        if (const auto words = number_behind("ladic", key))
          report_.compare_json(path + "." + key, expected,
                               clean_caption(text, {.max_words = static_cast<std::size_t>(*words)}));
        if (const auto words = number_behind("blip", key))
          report_.compare_json(path + "." + key, expected, blip(*words));
        if (const auto length = number_behind("blip_train_ids", key))
          report_.compare_json(path + "." + key, expected, blip_ids(blip(kWords), *length));
      }
      encodings(path, example, clean_caption(text, {.max_words = kWords}));
    });
  }

  void decoding(const Json& golden) {
    const Vocabulary& vocabulary = tokenizer_.vocabulary();
    for_each_case("decode.single", golden.at("single"), [&](const std::string& path, const Json& example) {
      const Ids ids = example.at("ids");
      const Ids unique = unique_consecutive_columns({ids}).front();
      const std::string plain = join_pieces(vocabulary, ids);
      report_.compare_json(path + ".unique_ids", example.at("unique_ids"), unique);
      report_.compare_json(path + ".decoded", example.at("decoded"), join_pieces(vocabulary, unique));
      report_.compare_json(path + ".final", example.at("final"), released_caption(vocabulary, ids));
      report_.compare_json(path + ".decoded_without_dedup", example.at("decoded_without_dedup"), plain);
      report_.compare_json(path + ".final_without_dedup", example.at("final_without_dedup"),
                           tidy_released_caption(plain));
    });
    for_each_case("decode.batches", golden.at("batches"), [&](const std::string& path, const Json& example) {
      const auto unique = unique_consecutive_columns(example.at("ids").get<std::vector<Ids>>());
      std::vector<std::string> decoded, captions;
      for (const Ids& row : unique) {
        decoded.push_back(join_pieces(vocabulary, row));
        captions.push_back(tidy_released_caption(decoded.back()));
      }
      report_.compare_json(path + ".unique_ids", example.at("unique_ids"), unique);
      report_.compare_json(path + ".decoded", example.at("decoded"), decoded);
      report_.compare_json(path + ".final", example.at("final"), captions);
    });
    const std::array special{vocabulary.pad(), vocabulary.unk(), vocabulary.cls(), vocabulary.sep(), vocabulary.mask()};
    for_each_case("decode.skip_special", golden.at("skip_special"), [&](const std::string& path, const Json& example) {
      report_.compare_json(path + ".decoded_skip_special", example.at("decoded_skip_special"),
                           join_pieces(vocabulary, without_tokens(example.at("ids").get<Ids>(), special)));
    });
  }

 private:
  /// LaDiC cuts captions to so many words before it encodes them.
  static constexpr std::size_t kWords = 30;

  template <class Check>
  void for_each_case(const std::string& path, const Json& cases, const Check& check) {
    capdiff::for_each_case(report_, path, cases, check);
  }

  /// Whatever a case states of `text` at a fixed length.
  void encodings(const std::string& path, const Json& example, const std::string& text) {
    const Vocabulary& vocabulary = tokenizer_.vocabulary();
    const SpecialIds special_ids{vocabulary.pad(), vocabulary.cls(), vocabulary.sep(), vocabulary.dot()};
    for (const auto& [key, expected] : example.items()) {
      if (const auto length = number_behind("ids", key))
        report_.compare_json(path + "." + key, expected, tokenizer_.encode(text, *length).ids);
      if (const auto length = number_behind("mask", key))
        report_.compare_json(path + "." + key, expected, tokenizer_.encode(text, *length).attention_mask);
      if (const auto length = number_behind("real_mask", key)) {
        const HostTensor special = special_positions(batch_of(text, *length));
        std::vector<int> words;
        for (const float position : special.values<float>()) words.push_back(position == 0.0f ? 1 : 0);
        report_.compare_json(path + "." + key, expected, words);
      }
      if (const auto length = number_behind("ce_target", key)) {
        const HostTensor targets = caption_targets(batch_of(text, *length).ids, SpecialTargets::dots, special_ids);
        report_.compare_json(path + "." + key, expected,
                             Ids(targets.values<std::int64_t>().begin(), targets.values<std::int64_t>().end()));
      }
    }
  }

  TokenBatch batch_of(const std::string& text, std::int64_t length) const {
    const EncodedText encoded = tokenizer_.encode(text, length);
    HostTensor mask(DType::f32, {1, length});
    std::ranges::copy(encoded.attention_mask, mask.mutable_values<float>().begin());
    return {HostTensor::of({1, length}, encoded.ids), mask};
  }

  /// What BLIP's decoder learns from: a prompt before the caption, [DEC] in place of [CLS], no padding. [DEC] is the
  /// first id behind the vocabulary.
  Ids blip_ids(const std::string& cleaned, std::int64_t length) const {
    const EncodedText encoded = tokenizer_.encode("a picture of " + cleaned, length);
    Ids ids = encoded.ids;
    ids.resize(static_cast<std::size_t>(std::ranges::count(encoded.attention_mask, 1)));
    ids.front() = tokenizer_.vocabulary().size();
    return ids;
  }

  fs::path vocabulary_file_;
  WordPieceTokenizer tokenizer_;
  GoldenReport& report_;
};

}  // namespace

bool has_tokenizer_goldens(const fs::path& folder) {
  return std::ranges::any_of(kTokenizerGoldens, [&](std::string_view name) { return fs::exists(folder / name); });
}

GoldenReport verify_tokenizer(const fs::path& folder, const std::optional<fs::path>& vocabulary) {
  GoldenReport report;
  TokenizerVerification verification(
      find_vocabulary(folder, vocabulary, {.own = "vocab.txt", .shared = "bert-base-uncased-vocab.txt"}), report);
  using Part = void (TokenizerVerification::*)(const Json&);
  for (const auto& [name, run] :
       {std::pair<std::string_view, Part>{"wordpiece.json", &TokenizerVerification::tokenising},
        {"cleaning.json", &TokenizerVerification::cleaning},
        {"decode.json", &TokenizerVerification::decoding}})
    if (const fs::path file = folder / name; fs::exists(file)) (verification.*run)(read_json(file));
  return report;
}

}  // namespace capdiff
