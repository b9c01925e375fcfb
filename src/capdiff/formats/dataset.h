#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "capdiff/formats/karpathy.h"

namespace capdiff {

/// Reads a captioning data set of any known format: a JSON object is Karpathy's (`read_karpathy`) or COCO's annotations
/// (`read_coco_captions`), a JSON array holds the Stanford paragraphs (`read_paragraphs`), a .tar file or a folder with
/// such files is a WebDataset (`read_webdataset`), and any other folder one of pictures and text files
/// (`read_image_folder`). `validation_share` is for data that has no splits of its own; of the others it changes
/// nothing.
CaptionDataset read_dataset(const std::filesystem::path& path, const std::vector<std::string>& splits = {},
                            double validation_share = 0.0);

/// Reads the Stanford image paragraphs (Krause et al., CVPR 2017): `paragraphs_v1.json`, an array of {image_id,
/// paragraph, url}, with `train_split.json`, `val_split.json` and `test_split.json` beside it, arrays of image ids. The
/// picture of an image is `<image_id>.jpg`. Pictures are in the order of the split files; a picture with several
/// paragraphs has them all. Throws `Error(invalid_input)` that names the file for anything else, and for an id of a
/// split that has no paragraph.
CaptionDataset read_paragraphs(const std::filesystem::path& path, const std::vector<std::string>& splits = {});

}  // namespace capdiff
