#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "capdiff/formats/json_reader.h"

namespace capdiff {

/// What a captioner said about a picture.
struct CaptionResult {
  std::string id;                       ///< of the image; empty where only `file` names the picture
  std::string file;                     ///< path of the picture; empty where the file does not say
  std::string caption;                  ///< may be empty
  std::vector<std::string> candidates;  ///< all captions drawn for the picture, where the file has them
  std::string place;                    ///< where it stands in the file: "[17]", "line 18"
};

/// Reads the captions of a system, in file order:
/// - COCO's result array, `[{"image_id": 1, "caption": "..."}, ...]`;
/// - JSON Lines, one such object a line. Blank lines are skipped.
/// A picture is named by "image_id", else by "id", else by "path", as `capdiff caption --format jsonl` prints; ids are
/// integers or texts, and 7 and "7" are the same. "candidates" is an array of texts or of objects with a "text". Other
/// keys are left alone. Throws `Error(invalid_input)` that names the file and the element for anything else, and for a
/// second caption of a picture, which COCO's evaluation does not allow.
std::vector<CaptionResult> read_caption_results(const std::filesystem::path& path);

/// As above, of the text of a file that is called `source`.
std::vector<CaptionResult> parse_caption_results(std::string_view text, const std::string& source);

/// The name of a picture in a record of such a file, or one of references.
struct PictureName {
  std::string id, file;
};
PictureName picture_name(const JsonReader& record);

/// Calls `consume(record, place)` for each object of an array of objects or of JSON Lines, in order, as soon as it is
/// read.
void for_each_record(std::string_view text, const std::string& source,
                     const std::function<void(const JsonReader& record, const std::string& place)>& consume);

/// Largest caption file that is read, in bytes.
inline constexpr std::size_t kMaxCaptionFileBytes = std::size_t{2} << 30;

}  // namespace capdiff
