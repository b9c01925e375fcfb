#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace capdiff {

/// What people wrote about a picture.
struct ReferenceCaptions {
  std::string id;
  std::string file;  ///< path or name of the picture's file; empty where the references do not say
  std::vector<std::string> captions;
};

/// Reads reference captions, images in the order in which the file first has a caption of them:
/// - COCO annotations, `{"annotations": [{"image_id": 1, "caption": "..."}, ...], "images": [{"id", "file_name"}]}`
///   ("images" may be absent);
/// - the splits of Karpathy (formats/karpathy.h), of which `split` takes one, all where it is empty;
/// - JSON Lines, or an array of objects: {"image_id": 1, "captions": ["...", ...]}, where "references" may stand for
///   "captions", and "caption" holds a single one. A picture is named as in result files (formats/caption_results.h);
///   captions of several lines about the same picture add up.
/// Throws `Error(invalid_input)` that names the file and the element for anything else, for an image without a caption,
/// and for a `split` of a file that has none.
std::vector<ReferenceCaptions> read_reference_captions(const std::filesystem::path& path,
                                                       const std::string& split = {});

/// As above, of the text of a file that is called `source`. Karpathy's splits are read from files alone: here they are
/// refused.
std::vector<ReferenceCaptions> parse_reference_captions(std::string_view text, const std::string& source);

}  // namespace capdiff
