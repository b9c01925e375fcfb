#include "capdiff/formats/coco.h"

#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/base/utf8.h"
#include "capdiff/formats/json_reader.h"

namespace capdiff {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 30;

std::int64_t image_id_of(const JsonReader& record) {
  return record.get_int("image_id", 0, std::numeric_limits<std::int64_t>::max());
}

}  // namespace

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

std::vector<CocoResult> read_coco_results(const std::filesystem::path& path) {
  nlohmann::json document = read_json(path, kMaxFileBytes);
  if (!document.is_array())
    fail(ErrorCode::invalid_input, "{}: expected an array of {{\"image_id\", \"caption\"}}", path.string());
  std::vector<CocoResult> results;
  std::unordered_set<std::int64_t> ids;
  for (nlohmann::json& element : document) {
    const std::string place = fmt::format("[{}]", results.size());
    const JsonReader record(std::move(element), path.string(), ErrorCode::invalid_input, place);
    const std::int64_t id = image_id_of(record);
    if (!ids.insert(id).second)
      fail(ErrorCode::invalid_input, "{}: {}: a second caption of image {}", path.string(), place, id);
    results.push_back({id, record.get_string("caption")});
  }
  return results;
}

std::map<std::int64_t, std::vector<std::string>> read_coco_annotations(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = read_file(path, kMaxFileBytes);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::map<std::int64_t, std::vector<std::string>> captions;
  parse_json_records(text, path.string(), "annotations", [&](const JsonReader& record) {
    captions[image_id_of(record)].push_back(record.get_string("caption"));
  });
  return captions;
}

}  // namespace capdiff
