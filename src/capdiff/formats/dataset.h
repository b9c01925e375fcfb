#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "capdiff/formats/karpathy.h"

namespace capdiff {

/// Reads a captioning data set of any known format: a JSON object is Karpathy's (`read_karpathy`), a JSON array holds
/// the Stanford paragraphs (`read_paragraphs`).
CaptionDataset read_dataset(const std::filesystem::path& path, const std::vector<std::string>& splits = {});

/// Reads the Stanford image paragraphs (Krause et al., CVPR 2017): `paragraphs_v1.json`, an array of {image_id,
/// paragraph, url}, with `train_split.json`, `val_split.json` and `test_split.json` beside it, arrays of image ids. The
/// picture of an image is `<image_id>.jpg`. Pictures are in the order of the split files; a picture with several
/// paragraphs has them all. Throws `Error(invalid_input)` that names the file for anything else, and for an id of a
/// split that has no paragraph.
CaptionDataset read_paragraphs(const std::filesystem::path& path, const std::vector<std::string>& splits = {});

}  // namespace capdiff
