#include "capdiff/formats/dataset.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/formats/caption_layout.h"
#include "capdiff/formats/coco.h"
#include "capdiff/formats/image_folder.h"
#include "capdiff/formats/json_reader.h"
#include "capdiff/formats/webdataset.h"

namespace capdiff {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{256} << 20;

nlohmann::json read_array(const std::filesystem::path& path) {
  nlohmann::json array = read_json(path, kMaxBytes);
  if (!array.is_array()) fail(ErrorCode::invalid_input, "{} must hold a JSON array", path.string());
  return array;
}

std::map<std::int64_t, std::vector<std::string>> paragraphs_by_id(const std::filesystem::path& path) {
  std::map<std::int64_t, std::vector<std::string>> paragraphs;
  const nlohmann::json array = read_array(path);
  for (std::size_t i = 0; i < array.size(); ++i) {
    const JsonReader entry(array[i], path.string(), ErrorCode::invalid_input, fmt::format("[{}]", i));
    paragraphs[entry.get_int("image_id", 0, kMaxImageId)].push_back(entry.get_string("paragraph"));
  }
  return paragraphs;
}

}  // namespace

CaptionDataset read_dataset(const std::filesystem::path& path, const std::vector<std::string>& splits,
                            double validation_share) {
  if (std::filesystem::is_directory(path)) {
    return tar_shards(path).empty() ? read_image_folder(path, splits, validation_share)
                                    : read_webdataset(path, splits, validation_share);
  }
  if (is_tar_name(path)) return read_webdataset(path, splits, validation_share);
  const auto file = MappedFile::open(path);
  const std::string_view text(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && text[first] == '[') return read_paragraphs(path, splits);
  if (caption_layout(text) == CaptionLayout::coco) return read_coco_captions(path, splits, validation_share);
  return read_karpathy(path, splits);
}

CaptionDataset read_paragraphs(const std::filesystem::path& path, const std::vector<std::string>& splits) {
  const auto paragraphs = paragraphs_by_id(path);
  CaptionDataset dataset{"paragraphs", {}};
  std::unordered_set<std::int64_t> ids;
  for (const std::string& split : splits.empty() ? std::vector<std::string>{"train", "val", "test"} : splits) {
    if (split.find('/') != std::string::npos)
      fail(ErrorCode::invalid_input, "{}: \"{}\" is no split", path.string(), split);
    const std::filesystem::path list = path.parent_path() / (split + "_split.json");
    for (const nlohmann::json& id : read_array(list)) {
      if (!id.is_number_integer()) fail(ErrorCode::invalid_input, "{}: {} is no image id", list.string(), id.dump());
      const auto number = id.get<std::int64_t>();
      const auto found = paragraphs.find(number);
      if (found == paragraphs.end())
        fail(ErrorCode::invalid_input, "{}: image {} has no paragraph in {}", list.string(), number, path.string());
      if (!ids.insert(number).second)
        fail(ErrorCode::invalid_input, "{}: image {} is listed twice", list.string(), number);
      dataset.images.push_back({number, fmt::format("{}.jpg", number), split, found->second});
    }
  }
  return dataset;
}

}  // namespace capdiff
