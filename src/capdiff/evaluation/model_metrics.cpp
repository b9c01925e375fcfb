#include "capdiff/evaluation/model_metrics.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "capdiff/base/error.h"
#include "capdiff/evaluation/bert_score.h"
#include "capdiff/evaluation/clip_score.h"

namespace capdiff {
namespace {

/// The last part of a path that names something: "clip" of "models/clip/".
std::string folder_name(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder.lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

struct Texts {
  explicit Texts(const CaptionSet& set) {
    for (const EvaluatedCaption& caption : set.captions) {
      candidates.push_back(caption.candidate);
      references.push_back(caption.references);
    }
  }

  std::vector<std::string> candidates;
  std::vector<std::vector<std::string>> references;
};

void warn_of_truncated(const char* metric, std::size_t count) {
  if (count > 0) spdlog::warn("{}: of {} texts, only as much counts as the model has positions for", metric, count);
}

class ClipMetric final : public CaptionMetric {
 public:
  explicit ClipMetric(const ClipMetricOptions& options)
      : options_(options), backend_(make_onednn_backend({})), scorer_(options.clip, *backend_) {}

  std::vector<std::string> names() const override { return {"CLIPScore", "RefCLIPScore"}; }
  std::string signature() const override { return "clip " + folder_name(options_.clip); }

  MetricScores score(const CaptionSet& set) const override {
    std::vector<std::filesystem::path> files;
    for (const EvaluatedCaption& caption : set.captions) {
      if (caption.file.empty())
        fail(ErrorCode::unsupported, "the references do not tell which file the image {} is", caption.id);
      files.push_back(options_.images / caption.file);
    }
    const Texts texts(set);
    ClipScores scores = scorer_.score(files, texts.candidates, texts.references);
    warn_of_truncated("CLIPScore", scores.truncated);
    MetricScores result;
    result.columns.push_back(column_of("CLIPScore", std::move(scores.clip_score)));
    if (scores.ref_clip_score) result.columns.push_back(column_of("RefCLIPScore", std::move(*scores.ref_clip_score)));
    return result;
  }

 private:
  ClipMetricOptions options_;
  std::unique_ptr<Backend> backend_;
  ClipScorer scorer_;
};

class BertMetric final : public CaptionMetric {
 public:
  explicit BertMetric(const BertMetricOptions& options)
      : options_(options),
        backend_(make_onednn_backend({})),
        scorer_(options.bert, *backend_, {.layer = options.layer, .idf = options.idf}) {}

  std::vector<std::string> names() const override { return {"BERTScore", "BERTScore-P", "BERTScore-R"}; }
  std::string signature() const override {
    return fmt::format("bert {} layer {}{}", folder_name(options_.bert), scorer_.layer(), options_.idf ? " idf" : "");
  }

  MetricScores score(const CaptionSet& set) const override {
    const Texts texts(set);
    BertScores scores = scorer_.score(texts.candidates, texts.references);
    warn_of_truncated("BERTScore", scores.truncated);
    MetricScores result;
    result.columns.push_back(column_of("BERTScore", std::move(scores.f1)));
    result.columns.push_back(column_of("BERTScore-P", std::move(scores.precision)));
    result.columns.push_back(column_of("BERTScore-R", std::move(scores.recall)));
    return result;
  }

 private:
  BertMetricOptions options_;
  std::unique_ptr<Backend> backend_;
  BertScorer scorer_;
};

}  // namespace

std::unique_ptr<CaptionMetric> make_clip_metric(const ClipMetricOptions& options) {
  return std::make_unique<ClipMetric>(options);
}

std::unique_ptr<CaptionMetric> make_bert_metric(const BertMetricOptions& options) {
  return std::make_unique<BertMetric>(options);
}

}  // namespace capdiff
