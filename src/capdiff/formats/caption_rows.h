#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace capdiff {

/// How captions stand in one file, row by row:
/// - text: `path<TAB>caption`, the bytes of the path as they are;
/// - jsonl: an object a line, its picture under "path" (`name_picture`);
/// - csv: RFC 4180, UTF-8, a header, the path in the first column;
/// - coco: `{"image_id": 1, "caption": "…"}` a line, which becomes COCO's result array when the file is done.
enum class RowFormat { text, jsonl, csv, coco };

/// Puts "path" into a row. A path is bytes and JSON is text: where those are not UTF-8, "path" shows U+FFFD in place of
/// each malformed one, and "path_bytes" has all of them, percent-encoded as in URLs ("caf%E9.jpg").
void name_picture(nlohmann::ordered_json& row, const std::string& path);

/// The path that `name_picture` put there. Throws `Error(invalid_input)` that names `source` for another object.
std::string picture_of(const nlohmann::json& row, const std::string& source);

/// Fields between commas, in quotes where they need them, and the end of the line.
std::string csv_row(std::span<const std::string> fields);

/// A line about a picture that failed: time, path and reason between tabs, in UTF-8. In the path control characters and
/// `%` are percent-encoded, and where it is not UTF-8 all that is not ASCII; in the reason they are blanks and U+FFFD.
std::string failure_row(std::time_t time, const std::string& path, std::string_view reason);

std::string coco_row(std::int64_t image_id, const std::string& caption);

/// The number that COCO knows a picture by, at the end of its name: 42 of COCO_val2014_000000000042.jpg and of 42.png.
/// Nothing where the name does not end in a number of its own.
std::optional<std::int64_t> coco_image_id(const std::filesystem::path& picture);

/// What a run that was broken off has left of a file.
struct WholeRows {
  std::size_t bytes = 0;          ///< from the beginning to the end of the last whole row
  std::vector<std::string> keys;  ///< which pictures the rows are of: paths; for coco the ids
};

/// Reads the rows of a file up to one that was not finished. With `several_rows` a picture may have several ones after
/// each other, of text; those of the last picture then count as unfinished. `header` is the first row of csv. Throws
/// `Error(invalid_input)` that names `source` and the line for text that no run of that format has written.
WholeRows read_whole_rows(std::string_view text, RowFormat format, const std::string& header, bool several_rows,
                          const std::string& source);

}  // namespace capdiff
