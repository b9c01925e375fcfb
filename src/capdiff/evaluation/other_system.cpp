#include "capdiff/evaluation/other_system.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/evaluation/caption_matching.h"
#include "capdiff/formats/json_reader.h"

namespace capdiff {
namespace {

constexpr std::uint64_t kSeed = 0;

/// The object of a report, or nothing where the text holds captions.
std::optional<nlohmann::json> report_in(std::string_view text, const std::string& source) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || text[first] != '{') return std::nullopt;
  const std::string_view line = text.substr(first, text.find('\n', first) - first);
  const bool lines =
      nlohmann::json::accept(line) && text.find_first_not_of(" \t\r\n", first + line.size()) != text.npos;
  if (lines) return std::nullopt;
  nlohmann::json document = parse_json(text, source);
  return document.contains("per_image") ? std::optional(std::move(document)) : std::nullopt;
}

/// The columns of `scores` with the values that another report gives the same images.
MetricScores values_of(const nlohmann::json& per_image, const MetricScores& scores,
                       const std::vector<std::string>& images, const std::string& source) {
  MetricScores other;
  const JsonReader values(per_image, source, ErrorCode::invalid_input, "per_image");
  for (const std::string& name : column_names(scores)) other.columns.push_back({name, 0.0, {}});
  for (const std::string& image : images) {
    if (!values.has(image)) fail(ErrorCode::invalid_input, "{}: \"per_image\" has no image {}", source, image);
    const JsonReader row(per_image.at(image), source, ErrorCode::invalid_input, "per_image." + image);
    for (MetricScores::Column& column : other.columns)
      column.per_image.push_back(row.get_number(column.name, -1e300, 1e300));
  }
  return other;
}

/// Whether a report has values of all columns for some image, and so may be compared.
bool has_columns(const nlohmann::json& per_image, const MetricScores& scores) {
  if (!per_image.is_object() || per_image.empty()) return true;  // an error that names it follows
  const nlohmann::json& row = per_image.front();
  for (const std::string& name : column_names(scores))
    if (!row.is_object() || !row.contains(name)) return false;
  return true;
}

std::vector<MetricScores> scores_of_report(const nlohmann::json& document, EvaluationReport& report,
                                           const std::string& source) {
  std::vector<MetricScores> theirs;
  const nlohmann::json& per_image = document.at("per_image");
  for (const MetricScores& scores : report.metrics) {
    const auto names = column_names(scores);
    if (names.empty()) continue;
    if (scores.of_sums)
      report.notes.push_back(
          fmt::format("{} is not compared: a report does not hold what its corpus value is made of", names.front()));
    else if (has_columns(per_image, scores))
      theirs.push_back(values_of(per_image, scores, report.images, source));
    else
      report.notes.push_back(fmt::format("{} is not compared: the other report does not have it", names.front()));
  }
  return theirs;
}

std::vector<MetricScores> scores_of_captions(std::string_view text, const std::string& source,
                                             const PreparedCaptions& captions, const CaptionTokenizer& tokenizer,
                                             std::span<const std::unique_ptr<CaptionMetric>> metrics) {
  std::vector<ReferenceCaptions> references;
  for (const EvaluatedCaption& caption : captions.set().captions)
    references.push_back({caption.id, caption.file, caption.references});
  const std::vector<CaptionResult> results = parse_caption_results(text, source);
  MatchedCaptions matched;
  try {
    matched = match_captions(references, results, Coverage::partial);
  } catch (const Error& error) {
    fail(error.code(), "{}: {}", source, error.what());
  }
  if (matched.without_caption)
    fail(ErrorCode::invalid_input, "{}: {} of the {} images that are compared have no caption", source,
         matched.without_caption, references.size());
  return score_captions(PreparedCaptions(std::move(matched.captions), tokenizer), metrics).metrics;
}

}  // namespace

void compare_with(EvaluationReport& report, const PreparedCaptions& captions, const CaptionTokenizer& tokenizer,
                  std::span<const std::unique_ptr<CaptionMetric>> metrics, const std::filesystem::path& path,
                  std::size_t resamples) {
  const auto file = MappedFile::open(path);
  if (file->bytes().size() > kMaxCaptionFileBytes)
    fail(ErrorCode::invalid_input, "{} is too large: at most {} bytes are read", path.string(), kMaxCaptionFileBytes);
  const std::string_view text(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
  const std::string source = path.string();
  const auto document = report_in(text, source);
  const std::vector<MetricScores> theirs = document ? scores_of_report(*document, report, source)
                                                    : scores_of_captions(text, source, captions, tokenizer, metrics);
  report.comparison = paired_bootstrap(report.metrics, theirs, resamples, kSeed);
  report.compared_with = source;
  if (report.comparison.empty())
    fail(ErrorCode::invalid_input, "{}: there is no metric that could be compared", source);
}

}  // namespace capdiff
