#include "capdiff/training/training_captions.h"

#include <algorithm>

#include "capdiff/base/error.h"
#include "capdiff/formats/captions_tsv.h"
#include "capdiff/formats/dataset.h"

namespace capdiff {

CaptionDataset recipe_dataset(const DataOptions& data, const std::vector<std::string>& splits) {
  return read_dataset(data.path("dataset"), splits, data.validation_share());
}

CaptionDataset training_dataset(const DataOptions& data) {
  CaptionDataset dataset = recipe_dataset(data, data.splits());
  std::int64_t index = 0;
  std::erase_if(dataset.images, [&](const CaptionedImage&) { return !data.trains_on(index++); });
  if (dataset.images.empty()) fail(ErrorCode::usage, "data.share leaves none of {} pictures to learn from", index);
  return dataset;
}

CaptionDataset first_captioned(CaptionDataset dataset, std::int64_t count) {
  std::erase_if(dataset.images, [](const CaptionedImage& image) { return image.captions.empty(); });
  dataset.images.resize(std::min(dataset.images.size(), static_cast<std::size_t>(count)));
  return dataset;
}

std::vector<PhotoSource> recipe_photos(const DataOptions& data, const CaptionDataset& dataset) {
  const bool knows = !dataset.folder.empty() && !data.has("images");
  return photo_sources(dataset, knows ? dataset.folder : data.path("images"));
}

std::vector<std::string> training_captions(const DataOptions& data) {
  std::vector<std::string> captions;
  for (const CaptionedImage& image : training_dataset(data).images)
    captions.insert(captions.end(), image.captions.begin(), image.captions.end());
  if (data.has("captions"))
    for (SourcedCaption& sourced : read_captions_tsv(data.path("captions")))
      captions.push_back(std::move(sourced.caption));
  return captions;
}

EncodedCaptions encode_training_captions(const DataOptions& data, const WordPieceTokenizer& tokenizer,
                                         const LadicConfig& config) {
  EncodedCaptions encoded(tokenizer, config.length, config.max_words);
  for (const std::string& caption : training_captions(data)) encoded.add(caption);
  if (encoded.size() == 0) fail(ErrorCode::invalid_input, "there is no caption to learn from");
  return encoded;
}

}  // namespace capdiff
