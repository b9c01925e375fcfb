#include <nlohmann/json.hpp>

#include "capdiff/base/learning_rate.h"
#include "capdiff/evaluation/verify_ladic.h"
#include "capdiff/metrics/bleu.h"
#include "capdiff/selection/minimum_bayes_risk.h"
#include "capdiff/text/clean_caption.h"
#include "capdiff/text/detokenise.h"
#include "capdiff/text/unicode.h"

namespace capdiff {
namespace {

using Json = nlohmann::json;
using Rows = std::vector<std::vector<std::int64_t>>;

/// Double precision on both sides, summed in another order.
constexpr double kLearningRates = 1e-12;

/// Calls check(path, element) for every element of golden.json's array `name`.
template <class Check>
void for_each_case(LadicVerification& v, const std::string& name, const Check& check) {
  const Json& cases = v.golden.json().at(name);
  for (std::size_t i = 0; i < cases.size(); ++i) check(name + "." + std::to_string(i), cases.at(i));
}

std::string cleaned(const LadicVerification& v, const Json& example) {
  return clean_caption(example.at("raw").get<std::string>(),
                       {.max_words = static_cast<std::size_t>(v.paper.config().max_words)});
}

void verify_tokens(LadicVerification& v) {
  GoldenReport& report = v.tensors.report();
  const std::int64_t length = v.paper.config().length;
  for_each_case(v, "text", [&](const std::string& path, const Json& text) {
    const std::string clean = cleaned(v, text);
    report.compare_json(path + ".clean", text.at("clean"), clean);
    report.compare_json(path + ".tokens", text.at("tokens"), v.tokens({v.tokenizer.encode(clean, length).ids}).front());
  });
  for_each_case(v, "tokenizer", [&](const std::string& path, const Json& text) {
    const std::string clean = cleaned(v, text);
    report.compare_json(path + ".clean", text.at("clean"), clean);
    report.compare_json(path + ".pieces", text.at("pieces"), v.tokenizer.tokenize(clean));
    report.compare_json(path + ".ids", text.at("ids"), v.tokenizer.encode(clean, length).ids);
  });
}

void verify_captions(LadicVerification& v) {
  GoldenReport& report = v.tensors.report();
  for_each_case(v, "postprocess", [&](const std::string& path, const Json& example) {
    const std::vector<std::int64_t> ids = example.at("ids");
    report.compare_json(path + ".tokens", example.at("tokens"), joined(v.tokens({ids}).front()));
    report.compare_json(path + ".caption", example.at("caption"), released_caption(v.vocabulary, ids));
    report.compare_json(path + ".caption_no_unique", example.at("caption_no_unique"),
                        tidy_released_caption(join_pieces(v.vocabulary, ids)));
  });
  for (const auto& [name, example] : v.golden.json().items()) {
    if (!name.starts_with("postprocess_batch")) continue;
    Rows rows;
    for (const std::string text : example.at("tokens")) {
      auto& ids = rows.emplace_back();
      for (const std::string& token : split_white_space(text))
        ids.push_back(v.vocabulary.find(token).value_or(v.vocabulary.unk()));
    }
    std::vector<std::string> captions;
    for (const auto& ids : unique_consecutive_columns(rows))
      captions.push_back(tidy_released_caption(join_pieces(v.vocabulary, ids)));
    report.compare_json(name + ".captions", example.at("captions"), captions);
  }
}

void verify_selection(LadicVerification& v) {
  GoldenReport& report = v.tensors.report();
  for_each_case(v, "sentence_bleu", [&](const std::string& path, const Json& example) {
    const Tokens candidate = split_white_space(example.at("hyp").get<std::string>());
    const Tokens reference = split_white_space(example.at("ref").get<std::string>());
    report.compare_json(path + ".value", example.at("value"), sentence_bleu(candidate, std::span(&reference, 1)),
                        kScoreTolerance);
  });
  for (const auto& [name, example] : v.golden.json().items()) {
    if (!name.starts_with("mbr_")) continue;
    const std::vector<std::string> captions = example.at("captions");
    const MinimumBayesRisk risk = minimum_bayes_risk(captions, Utility::bleu);
    report.compare_json(name + ".chosen", example.at("chosen"), risk.chosen);
    report.compare_json(name + ".scores", example.at("scores"), risk.scores, kScoreTolerance);
    if (example.contains("utility"))
      report.compare_json(name + ".utility", example.at("utility"), utilities(captions, Utility::bleu),
                          kScoreTolerance);
  }
}

void verify_learning_rates(LadicVerification& v) {
  for_each_case(v, "lr_schedule", [&](const std::string& path, const Json& example) {
    const LearningRateSchedule schedule{.peak = example.at("peak"),
                                        .steps = example.at("total_steps"),
                                        .warmup = example.at("warmup_ratio"),
                                        .decay = Decay::linear};
    std::vector<double> rates;
    for (std::int64_t step = 0; step < schedule.steps; ++step) rates.push_back(schedule.at(step));
    v.tensors.report().compare_json(path + ".lr_used_at_update", example.at("lr_used_at_update"), rates,
                                    kLearningRates);
  });
}

}  // namespace

void verify_ladic_strings(LadicVerification& v) {
  GoldenReport& report = v.tensors.report();
  report.part("json.tokenizer", [&] { verify_tokens(v); });
  report.part("json.postprocess", [&] { verify_captions(v); });
  report.part("json.sentence_bleu", [&] { verify_selection(v); });
  report.part("json.lr_schedule", [&] { verify_learning_rates(v); });
}

}  // namespace capdiff
