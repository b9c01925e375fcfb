#include "capdiff/formats/reference_captions.h"

#include <nlohmann/json.hpp>
#include <unordered_map>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/formats/caption_layout.h"
#include "capdiff/formats/caption_results.h"
#include "capdiff/formats/json_reader.h"
#include "capdiff/formats/karpathy.h"

namespace capdiff {
namespace {

constexpr std::size_t kMaxReferences = 100'000;  // of one picture in one record

/// Gathers captions by image, in the order of the first of each.
class Gatherer {
 public:
  ReferenceCaptions& image(const PictureName& name) {
    const auto [position, added] = positions_.emplace(name.id.empty() ? name.file : name.id, images_.size());
    if (added) images_.push_back({position->first, name.file, {}});
    return images_[position->second];
  }
  ReferenceCaptions* find(const std::string& id) {
    const auto position = positions_.find(id);
    return position == positions_.end() ? nullptr : &images_[position->second];
  }
  std::vector<ReferenceCaptions> finish(const std::string& source) {
    for (const ReferenceCaptions& image : images_)
      if (image.captions.empty())
        fail(ErrorCode::invalid_input, "{}: image {} has no reference captions", source, image.id);
    return std::move(images_);
  }

 private:
  std::vector<ReferenceCaptions> images_;
  std::unordered_map<std::string, std::size_t> positions_;
};

std::vector<ReferenceCaptions> parse_coco(std::string_view text, const std::string& source) {
  Gatherer images;
  std::unordered_map<std::string, std::string> files;
  const nlohmann::json rest = parse_json_records(
      text, source, {"annotations", "images"}, [&](const std::string& key, const JsonReader& record) {
        if (key == "images") {
          if (record.has("file_name")) files[picture_name(record).id] = record.get_string("file_name");
          return;
        }
        if (!record.has("image_id"))
          fail(ErrorCode::invalid_input, "{}: \"{}.image_id\" is missing", source, record.path());
        images.image({picture_name(record).id, {}}).captions.push_back(record.get_string("caption"));
      });
  if (rest.at("annotations") != nlohmann::json::array())
    fail(ErrorCode::invalid_input, "{}: \"annotations\" is not an array of objects", source);
  for (auto& [id, file] : files)
    if (ReferenceCaptions* const image = images.find(id)) image->file = std::move(file);
  return images.finish(source);
}

std::vector<ReferenceCaptions> parse_records(std::string_view text, const std::string& source) {
  Gatherer images;
  for_each_record(text, source, [&](const JsonReader& record, const std::string&) {
    ReferenceCaptions& image = images.image(picture_name(record));
    for (const char* key : {"captions", "references"}) {
      if (!record.has(key)) continue;
      for (std::string& caption : record.get_strings(key, kMaxReferences)) image.captions.push_back(std::move(caption));
      return;
    }
    image.captions.push_back(record.get_string("caption"));
  });
  return images.finish(source);
}

}  // namespace

std::vector<ReferenceCaptions> parse_reference_captions(std::string_view text, const std::string& source) {
  switch (caption_layout(text)) {
    case CaptionLayout::coco: return parse_coco(text, source);
    case CaptionLayout::records: return parse_records(text, source);
    case CaptionLayout::karpathy: fail(ErrorCode::unsupported, "{}: Karpathy's splits are read from files", source);
    case CaptionLayout::unknown: break;
  }
  parse_json(text, source);  // says what is malformed
  fail(ErrorCode::invalid_input,
       "{}: neither COCO annotations, nor Karpathy's splits, nor JSON Lines of {{\"image_id\", \"captions\"}}", source);
}

std::vector<ReferenceCaptions> read_reference_captions(const std::filesystem::path& path, const std::string& split) {
  const auto file = MappedFile::open(path);
  if (file->bytes().size() > kMaxCaptionFileBytes)
    fail(ErrorCode::invalid_input, "{} is too large: at most {} bytes are read", path.string(), kMaxCaptionFileBytes);
  const std::string_view text(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
  if (caption_layout(text) != CaptionLayout::karpathy) {
    if (!split.empty())
      fail(ErrorCode::invalid_input, "{} is no file of Karpathy's splits, so it has no split \"{}\"", path.string(),
           split);
    return parse_reference_captions(text, path.string());
  }
  Gatherer images;
  for (const CaptionedImage& image :
       read_karpathy(path, split.empty() ? std::vector<std::string>{} : std::vector<std::string>{split}).images)
    images.image({std::to_string(image.id), image.path.string()}).captions = image.captions;
  return images.finish(path.string());
}

}  // namespace capdiff
