#include "capdiff/formats/coco.h"

#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/base/utf8.h"

namespace capdiff {

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
