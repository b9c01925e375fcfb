#include "capdiff/evaluation/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

/// JSON text of a string, or of many; what is not UTF-8 is replaced.
std::string json_text(const nlohmann::json& text) {
  return text.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// `"name": value` behind a separator where it is not the first, or nothing for what JSON has no number for.
void append_member(std::string& members, std::string_view name, double value, std::string_view separator = ", ") {
  if (!std::isfinite(value)) return;
  fmt::format_to(std::back_inserter(members), "{}\"{}\": {}", members.empty() ? "" : separator, name, value);
}

/// A field of a CSV file.
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string field = "\"";
  for (const char c : text) field += c == '"' ? std::string("\"\"") : std::string(1, c);
  return field + "\"";
}

template <class Visit>
void for_each_column(const EvaluationReport& report, Visit&& visit) {
  for (const MetricScores& scores : report.metrics)
    for (const MetricScores::Column& column : scores.columns) visit(column);
}

std::string corpus_members(const EvaluationReport& report) {
  std::string members;
  for_each_column(report, [&](const auto& column) { append_member(members, column.name, column.corpus, ",\n    "); });
  return members;
}

std::string image_members(const EvaluationReport& report, std::size_t image) {
  std::string members;
  for_each_column(report, [&](const auto& column) {
    if (!column.per_image.empty()) append_member(members, column.name, column.per_image[image]);
  });
  return members;
}

std::string group_table(const EvaluationReport& report) {
  std::string table = fmt::format("{:<14} {:>7}", "words", "images");
  for (const auto& [name, value] : report.by_length.front().values) table += fmt::format(" {:>9}", name);
  table += "\n";
  for (const LengthGroup& group : report.by_length) {
    table += fmt::format("{:<14} {:>7}", group.label(), group.images);
    for (const auto& [name, value] : group.values)
      table += std::isfinite(value) ? fmt::format(" {:>9.2f}", 100.0 * value) : fmt::format(" {:>9}", "-");
    table += "\n";
  }
  return table;
}

std::string candidate_table(const EvaluationReport& report) {
  std::string table = fmt::format("{:<10} {:<9}", "candidates", "selection");
  for (const auto& [name, value] : report.by_candidates.front().values) table += fmt::format(" {:>10}", name);
  table += "\n";
  for (const CandidateGroup& group : report.by_candidates) {
    table += fmt::format("{:<10} {:<9}", group.candidates, group.selection);
    for (const auto& [name, value] : group.values) {
      if (!std::isfinite(value))
        table += fmt::format(" {:>10}", "-");
      else if (name == "Words")
        table += fmt::format(" {:>10.0f}", value);
      else
        table += fmt::format(" {:>10.2f}", name == "Seconds" ? value : 100.0 * value);
    }
    table += "\n";
  }
  return table;
}

std::string comparison_table(const EvaluationReport& report) {
  std::string table =
      fmt::format("{:<10} {:>9} {:>9} {:>9} {:>19} {:>9}\n", "", "this", "other", "difference", "95 % interval", "p");
  for (const Comparison& row : report.comparison) {
    const std::string interval = fmt::format("{:.2f} .. {:.2f}", 100.0 * row.low, 100.0 * row.high);
    table += fmt::format("{:<10} {:>9.2f} {:>9.2f} {:>+9.2f} {:>19} {:>9.4f}\n", row.name, 100.0 * row.ours,
                         100.0 * row.theirs, 100.0 * row.difference, interval, row.p_value);
  }
  return table;
}

}  // namespace

const MetricScores::Column* EvaluationReport::find(std::string_view name) const {
  for (const MetricScores& scores : metrics)
    for (const MetricScores::Column& column : scores.columns)
      if (column.name == name) return &column;
  return nullptr;
}

PreparedCaptions::PreparedCaptions(std::vector<EvaluatedCaption> captions, const CaptionTokenizer& tokenizer)
    : captions_(std::move(captions)), words_(tokenize_images(captions_, tokenizer)), tokenizer_(&tokenizer) {
  require_references(words_);
}

EvaluationReport score_captions(const PreparedCaptions& captions,
                                std::span<const std::unique_ptr<CaptionMetric>> metrics) {
  const CaptionSet set = captions.set();
  EvaluationReport report;
  std::unordered_set<std::string_view> distinct;
  std::size_t references = 0;
  std::size_t empty = 0;
  for (std::size_t i = 0; i < set.captions.size(); ++i) {
    report.images.push_back(set.captions[i].id);
    distinct.insert(set.captions[i].candidate);
    references += set.captions[i].references.size();
    empty += set.words[i].candidate.empty();
  }
  report.distinct_captions = distinct.size();
  report.signature = fmt::format("capdiff {} | tokenizer {} | images {} | references {}", CAPDIFF_VERSION,
                                 set.tokenizer.signature(), set.captions.size(), references);
  if (empty) report.notes.push_back(fmt::format("{} captions have no words, and are scored as empty", empty));
  for (const auto& metric : metrics) {
    try {
      report.metrics.push_back(metric->score(set));
      if (const std::string text = metric->signature(); !text.empty()) report.signature += " | " + text;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::unsupported) throw;
      for (const std::string& name : metric->names()) report.skipped[name] = error.what();
    }
  }
  return report;
}

std::string to_json(const EvaluationReport& report) {
  std::string json = "{\n  \"corpus\": {\n    " + corpus_members(report) + "\n  },\n  \"per_image\": {";
  for (std::size_t i = 0; i < report.images.size(); ++i)
    json += fmt::format("{}\n    {}: {{{}}}", i ? "," : "", json_text(report.images[i]), image_members(report, i));
  json += "\n  },\n";
  if (!report.by_length.empty()) {
    json += "  \"by_length\": [";
    for (const LengthGroup& group : report.by_length) {
      std::string members = fmt::format("\"words\": {}, \"images\": {}", json_text(group.label()), group.images);
      for (const auto& [name, value] : group.values) append_member(members, name, value);
      json += fmt::format("{}\n    {{{}}}", &group == report.by_length.data() ? "" : ",", members);
    }
    json += "\n  ],\n";
  }
  if (!report.by_candidates.empty()) {
    json += "  \"by_candidates\": [";
    for (const CandidateGroup& group : report.by_candidates) {
      std::string members = fmt::format("\"candidates\": {}, \"selection\": \"{}\"", group.candidates, group.selection);
      for (const auto& [name, value] : group.values) append_member(members, name, value);
      json += fmt::format("{}\n    {{{}}}", &group == report.by_candidates.data() ? "" : ",", members);
    }
    json += "\n  ],\n";
  }
  if (!report.comparison.empty()) {
    json += fmt::format("  \"comparison\": {{\"with\": {}, \"resamples\": {}, \"metrics\": {{",
                        json_text(report.compared_with), report.comparison.front().resamples);
    for (const Comparison& row : report.comparison)
      json += fmt::format(
          "{}\n    \"{}\": {{\"this\": {}, \"other\": {}, \"difference\": {}, \"low\": {}, \"high\": {}, \"p\": {}}}",
          &row == report.comparison.data() ? "" : ",", row.name, row.ours, row.theirs, row.difference, row.low,
          row.high, row.p_value);
    json += "\n  }},\n";
  }
  json +=
      fmt::format("  \"skipped\": {},\n  \"signature\": {},\n", json_text(report.skipped), json_text(report.signature));
  if (!report.notes.empty()) json += fmt::format("  \"notes\": {},\n", json_text(report.notes));
  return json + fmt::format("  \"images\": {},\n  \"distinct_captions\": {},\n  \"seconds\": {}\n}}\n",
                            report.images.size(), report.distinct_captions, report.seconds);
}

std::string to_csv(const EvaluationReport& report) {
  std::string csv = "image";
  for_each_column(report, [&](const auto& column) {
    if (!column.per_image.empty()) csv += "," + column.name;
  });
  csv += "\n";
  for (std::size_t i = 0; i < report.images.size(); ++i) {
    csv += csv_field(report.images[i]);
    for_each_column(report, [&](const auto& column) {
      if (column.per_image.empty()) return;
      csv += std::isfinite(column.per_image[i]) ? fmt::format(",{}", column.per_image[i]) : ",";
    });
    csv += "\n";
  }
  return csv;
}

std::string to_table(const EvaluationReport& report) {
  std::string table;
  for_each_column(report, [&](const auto& column) {
    table += fmt::format("{:<10} {:7.2f}\n", column.name, column.shown_times * column.corpus);
  });
  table += fmt::format("{:<10} {:7d} of {}\n", "distinct", report.distinct_captions, report.images.size());
  for (const auto& [name, reason] : report.skipped) table += fmt::format("{:<10} {:>7}  ({})\n", name, "-", reason);
  if (!report.by_length.empty()) table += "\n" + group_table(report) + "\n";
  if (!report.by_candidates.empty()) table += "\n" + candidate_table(report) + "\n";
  if (!report.comparison.empty())
    table += fmt::format("\ncompared with {}\n{}\n", report.compared_with, comparison_table(report));
  for (const std::string& note : report.notes) table += note + "\n";
  return table + report.signature + "\n";
}

}  // namespace capdiff
