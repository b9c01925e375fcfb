#include "capdiff/evaluation/clip_score.h"

#include <algorithm>

#include "capdiff/base/error.h"
#include "capdiff/image/decode.h"
#include "capdiff/models/cosines.h"

namespace capdiff {
namespace {

void require_same_number(std::size_t images, std::size_t captions,
                         std::span<const std::vector<std::string>> references) {
  if (images == 0) fail(ErrorCode::invalid_input, "CLIPScore needs pictures, and there are none");
  if (captions != images || (!references.empty() && references.size() != images))
    fail(ErrorCode::invalid_input, "CLIPScore of {} pictures with {} captions and the references of {}", images,
         captions, references.size());
  for (std::size_t i = 0; i < references.size(); ++i)
    if (references[i].empty()) fail(ErrorCode::invalid_input, "CLIPScore: picture {} has no references", i);
}

}  // namespace

double clip_score(double cosine, double weight) {
  return weight * std::max(cosine, 0.0);
}

double ref_clip_score(double clip_score, double best_reference_cosine) {
  const double sum = clip_score + best_reference_cosine;
  return sum == 0.0 ? 0.0 : 2.0 * clip_score * best_reference_cosine / sum;
}

ClipScorer::ClipScorer(const std::filesystem::path& folder, Backend& backend, ClipScoreOptions options)
    : encoder_(ModelFolder::open(folder), backend), options_(std::move(options)) {
  if (options_.batch == 0) fail(ErrorCode::usage, "CLIPScore: a batch of 0 pictures");
}

ClipScores ClipScorer::score(std::span<const std::filesystem::path> images, std::span<const std::string> captions,
                             std::span<const std::vector<std::string>> references) const {
  const auto read_batch = [&](std::size_t begin, std::size_t count) {
    std::vector<Image> batch;
    for (const std::filesystem::path& path : images.subspan(begin, count))
      batch.push_back(read_image(path, {.apply_exif_orientation = false}));
    return encoder_.images(batch);
  };
  return score(images.size(), read_batch, captions, references);
}

ClipScores ClipScorer::score(std::span<const Image> images, std::span<const std::string> captions,
                             std::span<const std::vector<std::string>> references) const {
  const auto batch = [&](std::size_t begin, std::size_t count) {
    return encoder_.images(images.subspan(begin, count));
  };
  return score(images.size(), batch, captions, references);
}

ClipScores ClipScorer::score(std::size_t count, const ImageBatch& images, std::span<const std::string> captions,
                             std::span<const std::vector<std::string>> references) const {
  require_same_number(count, captions.size(), references);
  ClipScores scores;
  std::vector<double> clip, ref_clip;
  for (std::size_t begin = 0; begin < count; begin += options_.batch) {
    const std::size_t size = std::min(options_.batch, count - begin);
    // Every caption, with its references behind it.
    std::vector<std::string> texts;
    std::vector<std::int64_t> first;
    for (std::size_t i = begin; i < begin + size; ++i) {
      first.push_back(static_cast<std::int64_t>(texts.size()));
      texts.push_back(options_.prefix + captions[i]);
      if (references.empty()) continue;
      for (const std::string& reference : references[i]) texts.push_back(options_.prefix + reference);
    }
    first.push_back(static_cast<std::int64_t>(texts.size()));
    const HostTensor pictures = images(begin, size);
    const ClipEncoder::Texts encoded = encoder_.texts(texts);
    scores.truncated += encoded.truncated;
    for (std::size_t i = 0; i < size; ++i) {
      const auto row = static_cast<std::int64_t>(i);
      const HostTensor caption = encoded.features.slice(first[i], first[i] + 1);
      clip.push_back(clip_score(cosines(pictures.slice(row, row + 1), caption).values<float>()[0], options_.weight));
      if (references.empty()) continue;
      const HostTensor near = cosines(caption, encoded.features.slice(first[i] + 1, first[i + 1]));
      ref_clip.push_back(ref_clip_score(clip.back(), *std::ranges::max_element(near.values<float>())));
    }
    if (options_.on_progress) options_.on_progress(size);
  }
  scores.clip_score = mean_over_images(std::move(clip));
  if (!references.empty()) scores.ref_clip_score = mean_over_images(std::move(ref_clip));
  return scores;
}

}  // namespace capdiff
