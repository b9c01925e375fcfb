#include "capdiff/formats/coco.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>
#include <utility>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/base/utf8.h"
#include "capdiff/formats/caption_results.h"
#include "capdiff/formats/json_reader.h"
#include "capdiff/formats/splits.h"

namespace capdiff {

CaptionDataset read_coco_captions(const std::filesystem::path& path, const std::vector<std::string>& splits,
                                  double validation_share) {
  CaptionDataset dataset{"coco", {}};
  std::unordered_map<std::int64_t, std::size_t> places;
  std::vector<std::pair<std::int64_t, std::string>> captions;  // which may stand before the images
  const std::string source = path.string();
  const auto file = MappedFile::open(path);
  if (file->bytes().size() > kMaxCaptionFileBytes)
    fail(ErrorCode::invalid_input, "{} is too large: at most {} bytes are read", source, kMaxCaptionFileBytes);
  const std::string_view text(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
  const std::optional<std::string> split = split_in_name(path.stem().string());
  const nlohmann::json rest = parse_json_records(
      text, source, {"annotations", "images"}, [&](const std::string& key, const JsonReader& record) {
        if (key == "annotations") {
          captions.emplace_back(record.get_int("image_id", 0, kMaxImageId), record.get_string("caption"));
          return;
        }
        const std::int64_t id = record.get_int("id", 0, kMaxImageId);
        const std::filesystem::path name = path_below_images(record.get_string("file_name"), record);
        if (!places.emplace(id, dataset.images.size()).second)
          fail(ErrorCode::invalid_input, "{}: {}: the id {} is given twice", source, record.path(), id);
        dataset.images.push_back({id, name, split ? *split : split_by_hash(name.string(), validation_share), {}});
      });
  for (const char* key : {"annotations", "images"})
    if (!rest.contains(key) || rest.at(key) != nlohmann::json::array())
      fail(ErrorCode::invalid_input, "{}: \"{}\" is not an array of objects", source, key);
  for (auto& [id, caption] : captions) {
    const auto place = places.find(id);
    if (place == places.end())
      fail(ErrorCode::invalid_input, "{}: a caption is of image {}, which is not among the images", source, id);
    dataset.images[place->second].captions.push_back(std::move(caption));
  }
  std::erase_if(dataset.images, [](const CaptionedImage& image) { return image.captions.empty(); });
  keep_splits(dataset, splits, source);
  return dataset;
}

void write_coco_results(const std::filesystem::path& path, std::span<const CocoResult> results) {
  AtomicFileWriter writer(path);
  writer.write("[");
  const char* separator = "\n";
  for (const CocoResult& result : results) {
    if (!is_utf8(result.caption))
      fail(ErrorCode::invalid_input, "the caption of image {} is not UTF-8, and cannot be written to {}",
           result.image_id, path.string());
    writer.write(fmt::format("{}{{\"image_id\": {}, \"caption\": {}}}", separator, result.image_id,
                             nlohmann::json(result.caption).dump()));
    separator = ",\n";
  }
  writer.write("\n]\n");
  writer.commit();
}

}  // namespace capdiff
