#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "capdiff/evaluation/caption_matching.h"
#include "capdiff/evaluation/overlap_metrics.h"
#include "capdiff/evaluation/report.h"
#include "capdiff/metrics/ptb_tokenizer.h"
#include "tests/fuzz/fuzz_target.h"

namespace {

std::vector<std::unique_ptr<capdiff::CaptionMetric>> every_metric() {
  std::vector<std::unique_ptr<capdiff::CaptionMetric>> metrics;
  metrics.push_back(capdiff::make_bleu_metric());
  metrics.push_back(capdiff::make_rouge_l_metric());
  metrics.push_back(capdiff::make_cider_d_metric(std::nullopt));
  metrics.push_back(capdiff::make_diversity_metric({}));
  return metrics;
}

}  // namespace

/// References and results, with a line of `=` between them, in any of their formats; what matches is scored.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return capdiff::fuzz::refuses_or_reads(data, size, [](std::span<const std::byte> bytes) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    constexpr std::string_view kBetween = "\n=\n";
    const std::size_t middle = text.find(kBetween);
    const auto references = capdiff::parse_reference_captions(text.substr(0, middle), "references");
    const auto results = capdiff::parse_caption_results(
        middle == std::string_view::npos ? text : text.substr(middle + kBetween.size()), "results");
    auto matched = capdiff::match_captions(references, results, capdiff::Coverage::partial);
    const capdiff::PtbTokenizer tokenizer;
    const capdiff::PreparedCaptions prepared(std::move(matched.captions), tokenizer);
    static const auto metrics = every_metric();
    auto report = capdiff::score_captions(prepared, metrics);
    report.by_length = capdiff::group_by_length(prepared.set().words, report.metrics);
    capdiff::parse_json(capdiff::to_json(report), "report");
    capdiff::to_csv(report);
    capdiff::to_table(report);
  });
}
