#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "capdiff/evaluation/metric_choice.h"
#include "capdiff/evaluation/report.h"
#include "capdiff/metrics/caption_tokens.h"

namespace capdiff::app {

/// Options of the commands that score captions.
struct ScoreOptions {
  std::vector<std::string> metrics;
  std::string tokenizer = "ptb";
  std::string document_frequencies;
  std::string meteor_data;
  std::string clip, images;  ///< `images` is an option of its own where a command has it already
  std::string bert;
  std::optional<std::int64_t> bert_layer;
  bool bert_idf = false;
  std::string spice_jar, spice_memory = "8G";
  std::int64_t spice_timeout = 3600;
  std::string training;
  std::int64_t vocabulary_size = 0;
  bool by_length = false;
  std::string compare;
  std::size_t resamples = 10'000;
  bool json = false, csv = false;
};

void add_score_options(CLI::App& command, ScoreOptions& options);

/// Scores captions as the options say, and prints the report.
class Scoring {
 public:
  /// Throws where the options do not go together, before anything slow is done.
  explicit Scoring(const ScoreOptions& options);

  const CaptionTokenizer& tokenizer() const { return *tokenizer_; }
  /// Returns the exit code. `signature` is added to that of the report, `notes` to its notes; `start` is when the
  /// command began. Where `candidates` has counts, scores are also given by the number of candidates.
  int print(std::vector<EvaluatedCaption> captions, const std::string& signature, std::vector<std::string> notes,
            std::chrono::steady_clock::time_point start, const CandidateGroupOptions& candidates = {}) const;

 private:
  ScoreOptions options_;
  std::unique_ptr<CaptionTokenizer> tokenizer_;
  MetricChoice choice_;
};

}  // namespace capdiff::app
