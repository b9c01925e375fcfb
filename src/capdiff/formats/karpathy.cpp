#include "capdiff/formats/karpathy.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <unordered_set>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/formats/json_reader.h"
#include "capdiff/formats/splits.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFileBytes = std::size_t{2} << 30;
constexpr std::size_t kMaxCaptions = 1000;  // of one picture
constexpr std::size_t kMaxTokens = 10'000;  // of one caption

std::string caption_of(const JsonReader& sentence) {
  if (sentence.has("raw")) return sentence.get_string("raw");
  return fmt::format("{}", fmt::join(sentence.get_strings("tokens", kMaxTokens), " "));
}

CaptionedImage read_image(const JsonReader& image) {
  CaptionedImage result;
  result.id = image.get_int(image.has("cocoid") ? "cocoid" : "imgid", 0, kMaxImageId);
  result.path = path_below_images(fs::path(image.get_string("filepath", "")) / image.get_string("filename"), image);
  result.split = image.get_string("split");
  for (const JsonReader& sentence : image.get_objects("sentences", kMaxCaptions))
    result.captions.push_back(caption_of(sentence));
  return result;
}

}  // namespace

fs::path path_below_images(const fs::path& path, const JsonReader& record) {
  const bool leaves = path.is_absolute() || std::find(path.begin(), path.end(), "..") != path.end();
  if (leaves || !path.has_filename() || path.native().find('\0') != std::string::npos)
    fail(ErrorCode::invalid_input, "{}: {}: {} is not a path inside the image folder", record.source(), record.path(),
         nlohmann::json(path.string()).dump());
  return path;
}

CaptionDataset read_karpathy(const std::filesystem::path& path, const std::vector<std::string>& splits) {
  CaptionDataset dataset;
  std::unordered_set<std::int64_t> ids;
  std::set<std::string> splits_there;
  const std::shared_ptr<const MappedFile> file = MappedFile::open(path);
  if (file->bytes().size() > kMaxFileBytes)
    fail(ErrorCode::invalid_input, "{} is too large: at most {} bytes are read", path.string(), kMaxFileBytes);
  const std::string_view text(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
  const nlohmann::json rest = parse_json_records(text, path.string(), "images", [&](const JsonReader& record) {
    CaptionedImage image = read_image(record);
    if (!ids.insert(image.id).second)
      fail(ErrorCode::invalid_input, "{}: {}: the id {} is given twice", path.string(), record.path(), image.id);
    splits_there.insert(image.split);
    if (splits.empty() || std::find(splits.begin(), splits.end(), image.split) != splits.end())
      dataset.images.push_back(std::move(image));
  });
  require_splits(splits, splits_there, path.string());
  dataset.name = JsonReader(rest, path.string()).get_string("dataset", "");
  return dataset;
}

}  // namespace capdiff
