#include "capdiff/training/training_captions.h"

#include "capdiff/base/error.h"
#include "capdiff/formats/captions_tsv.h"
#include "capdiff/formats/dataset.h"

namespace capdiff {

CaptionDataset recipe_dataset(const DataOptions& data, const std::vector<std::string>& splits) {
  return read_dataset(data.path("dataset"), splits, data.validation_share());
}

std::vector<PhotoSource> recipe_photos(const DataOptions& data, const CaptionDataset& dataset) {
  const bool knows = !dataset.folder.empty() && !data.has("images");
  return photo_sources(dataset, knows ? dataset.folder : data.path("images"));
}

std::vector<std::string> training_captions(const DataOptions& data) {
  std::vector<std::string> captions;
  for (const CaptionedImage& image : recipe_dataset(data, data.splits()).images)
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
