#include "capdiff/formats/reference_captions.h"

#include <nlohmann/json.hpp>
#include <unordered_map>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/formats/caption_results.h"
#include "capdiff/formats/json_reader.h"
#include "capdiff/formats/karpathy.h"

namespace capdiff {
namespace {

constexpr std::size_t kMaxReferences = 100'000;  // of one picture in one record

enum class Layout { coco, karpathy, records, unknown };

/// Reads the beginning of a JSON document until a key tells what it is.
class LayoutFinder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  Layout layout = Layout::unknown;

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return ++depth_ > 0; }
  bool end_object() override { return --depth_ > 0; }
  bool start_array(std::size_t) override { return ++depth_ > 0; }
  bool end_array() override { return --depth_ > 0; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }
  bool key(string_t& name) override {
    if (depth_ == 1 && name == "annotations") layout = Layout::coco;
    if (depth_ == 3 && name == "sentences") layout = Layout::karpathy;
    if (depth_ == 1) {
      for (const char* record : {"image_id", "id", "path", "caption", "captions", "references"})
        if (name == record) layout = Layout::records;
    }
    return layout == Layout::unknown;
  }

 private:
  std::int64_t depth_ = 0;
};

Layout layout_of(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || text[first] == '[') return Layout::records;
  LayoutFinder finder;
  nlohmann::json::sax_parse(text.begin(), text.end(), &finder, nlohmann::json::input_format_t::json, false);
  if (finder.layout != Layout::unknown) return finder.layout;
  // A line that is a document of its own, with more behind it.
  const std::string_view line = text.substr(first, text.find('\n', first) - first);
  const bool lines = text.find_first_not_of(" \t\r\n", first + line.size()) != std::string_view::npos;
  return lines && nlohmann::json::accept(line) ? Layout::records : Layout::unknown;
}

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
  switch (layout_of(text)) {
    case Layout::coco: return parse_coco(text, source);
    case Layout::records: return parse_records(text, source);
    case Layout::karpathy: fail(ErrorCode::unsupported, "{}: Karpathy's splits are read from files", source);
    case Layout::unknown: break;
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
  if (layout_of(text) != Layout::karpathy) {
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
