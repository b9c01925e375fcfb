#include <nlohmann/json.hpp>

#include "capdiff/evaluation/caption_matching.h"
#include "capdiff/evaluation/metric_choice.h"
#include "capdiff/evaluation/report.h"
#include "capdiff/metrics/ptb_tokenizer.h"
#include "tests/fuzz/fuzz_target.h"

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
    static const auto choice = capdiff::choose_metrics({"bleu", "rouge-l", "cider-d", "dist"}, {});
    auto report = capdiff::score_captions(prepared, choice.metrics);
    report.by_length = capdiff::group_by_length(prepared.set().words, report.metrics);
    capdiff::parse_json(capdiff::to_json(report), "report");
    capdiff::to_csv(report);
    capdiff::to_table(report);
  });
}
