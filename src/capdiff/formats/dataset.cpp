#include "capdiff/formats/dataset.h"

#include <fmt/format.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "capdiff/base/error.h"
#include "capdiff/formats/json_reader.h"

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

CaptionDataset read_dataset(const std::filesystem::path& path, const std::vector<std::string>& splits) {
  std::ifstream file(path);
  char first = 0;
  if (file >> std::ws >> first && first == '[') return read_paragraphs(path, splits);
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
