#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

#include "capdiff/evaluation/caption_metric.h"

namespace capdiff {

struct ClipMetricOptions {
  std::filesystem::path clip;    ///< a model folder (convert --from clip)
  std::filesystem::path images;  ///< the folder of the pictures
};

/// CLIPScore and RefCLIPScore (evaluation/clip_score.h). Captions and references are taken as they are written. Throws
/// Error(unsupported) while scoring where it is not known which files the pictures are.
std::unique_ptr<CaptionMetric> make_clip_metric(const ClipMetricOptions& options);

struct BertMetricOptions {
  std::filesystem::path bert;         ///< a model folder (convert --from bert)
  std::optional<std::int64_t> layer;  ///< whose output is compared, from 1
  bool idf = false;                   ///< rare words weigh more
};

/// BERTScore, the F1, with its precision and recall (evaluation/bert_score.h). Captions are taken as they are written.
std::unique_ptr<CaptionMetric> make_bert_metric(const BertMetricOptions& options);

}  // namespace capdiff
