#include "capdiff/evaluation/report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "capdiff/metrics/bleu.h"
#include "capdiff/metrics/cider_d.h"
#include "capdiff/metrics/rouge_l.h"

namespace capdiff {

EvaluationReport score_captions(std::span<const EvaluatedCaption> captions, const CaptionTokenizer& tokenizer) {
  const std::vector<ScoredImage> images = tokenize_images(captions, tokenizer);
  EvaluationReport report;
  const auto add = [&](const std::string& name, const MetricResult& result) {
    report.corpus.emplace_back(name, result.corpus);
    for (std::size_t i = 0; i < images.size(); ++i) report.per_image[images[i].id][name] = result.per_image[i];
  };
  const auto bleus = bleu(images);
  for (std::size_t n = 0; n < bleus.size(); ++n) add(fmt::format("BLEU-{}", n + 1), bleus[n]);
  add("ROUGE-L", rouge_l(images));
  add("CIDEr-D", cider_d(images));
  for (const char* later : {"METEOR", "SPICE", "CLIPScore"}) report.skipped[later] = "not in this version";

  std::set<std::string> distinct;
  std::size_t references = 0;
  for (const EvaluatedCaption& caption : captions) {
    distinct.insert(caption.candidate);
    references += caption.references.size();
  }
  report.images = captions.size();
  report.distinct_captions = distinct.size();
  report.signature = fmt::format("capdiff {} | tokenizer {} | images {} | references {}", CAPDIFF_VERSION,
                                 tokenizer.signature(), report.images, references);
  return report;
}

nlohmann::json to_json(const EvaluationReport& report) {
  nlohmann::json corpus = nlohmann::json::object();
  for (const auto& [name, value] : report.corpus) corpus[name] = value;
  return {{"corpus", corpus},          {"per_image", report.per_image},
          {"skipped", report.skipped}, {"signature", report.signature},
          {"images", report.images},   {"distinct_captions", report.distinct_captions},
          {"seconds", report.seconds}};
}

std::string to_table(const EvaluationReport& report) {
  std::string table;
  for (const auto& [name, value] : report.corpus) table += fmt::format("{:<10} {:7.2f}\n", name, 100.0 * value);
  table += fmt::format("{:<10} {:7d} of {}\n", "distinct", report.distinct_captions, report.images);
  for (const auto& [name, reason] : report.skipped) table += fmt::format("{:<10} {:>7}  ({})\n", name, "-", reason);
  return table + report.signature + "\n";
}

}  // namespace capdiff
