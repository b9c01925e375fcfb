#include "capdiff/formats/caption_results.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"

namespace capdiff {
namespace {

constexpr std::size_t kMaxCandidates = 1024;  // of one picture

/// "file: [17]", "file, line 18": the beginning of a message about a record.
std::string where(const JsonReader& record) {
  return record.path().empty() ? record.source() : fmt::format("{}: {}", record.source(), record.path());
}

std::string id_of(const JsonReader& record, std::string_view key) {
  if (const auto value = record.json().find(key); value != record.json().end() && value->is_string()) {
    std::string id = record.get_string(key);
    if (id.empty()) fail(ErrorCode::invalid_input, "{}: \"{}\" is empty", where(record), key);
    return id;
  }
  constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();
  return std::to_string(record.get_int(key, -kLargest, kLargest));
}

std::vector<std::string> candidates_of(const JsonReader& record) {
  if (!record.has("candidates")) return {};
  const nlohmann::json& candidates = record.json().at("candidates");
  if (!candidates.is_array() || candidates.empty() || !candidates.front().is_object())
    return record.get_strings("candidates", kMaxCandidates);
  std::vector<std::string> texts;
  for (const JsonReader& candidate : record.get_objects("candidates", kMaxCandidates))
    texts.push_back(candidate.get_string("text"));
  return texts;
}

}  // namespace

PictureName picture_name(const JsonReader& record) {
  PictureName name;
  if (record.has("path")) name.file = record.get_string("path");
  for (const char* key : {"image_id", "id"}) {
    if (!record.has(key)) continue;
    name.id = id_of(record, key);
    return name;
  }
  if (name.file.empty())
    fail(ErrorCode::invalid_input, "{}: no picture is named; expected \"image_id\", \"id\" or \"path\"", where(record));
  return name;
}

void for_each_record(std::string_view text, const std::string& source,
                     const std::function<void(const JsonReader& record, const std::string& place)>& consume) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first != std::string_view::npos && text[first] == '[') {
    parse_json_records(text, source, "", [&](const JsonReader& record) { consume(record, record.path()); });
    return;
  }
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.find_first_not_of(kSpace) == std::string_view::npos) continue;
    const std::string place = fmt::format("line {}", number);
    const std::string line_source = fmt::format("{}, {}", source, place);
    consume(JsonReader(parse_json(line, line_source), line_source), place);
  }
}

std::vector<CaptionResult> parse_caption_results(std::string_view text, const std::string& source) {
  std::vector<CaptionResult> results;
  std::unordered_set<std::string> names;
  for_each_record(text, source, [&](const JsonReader& record, const std::string& place) {
    PictureName name = picture_name(record);
    const std::string& shown = name.id.empty() ? name.file : name.id;
    if (!names.insert((name.id.empty() ? "file " : "id ") + shown).second)
      fail(ErrorCode::invalid_input, "{}: a second caption of image {}", where(record), shown);
    results.push_back(
        {std::move(name.id), std::move(name.file), record.get_string("caption"), candidates_of(record), place});
  });
  return results;
}

std::vector<CaptionResult> read_caption_results(const std::filesystem::path& path) {
  const auto file = MappedFile::open(path);
  if (file->bytes().size() > kMaxCaptionFileBytes)
    fail(ErrorCode::invalid_input, "{} is too large: at most {} bytes are read", path.string(), kMaxCaptionFileBytes);
  return parse_caption_results({reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()},
                               path.string());
}

}  // namespace capdiff
