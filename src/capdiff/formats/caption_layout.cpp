#include "capdiff/formats/caption_layout.h"

#include <nlohmann/json.hpp>

namespace capdiff {
namespace {

/// Reads the beginning of a JSON document until a key tells what it is.
class LayoutFinder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  CaptionLayout layout = CaptionLayout::unknown;

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
    if (depth_ == 1 && name == "annotations") layout = CaptionLayout::coco;
    if (depth_ == 3 && name == "sentences") layout = CaptionLayout::karpathy;
    if (depth_ == 1) {
      for (const char* record : {"image_id", "id", "path", "caption", "captions", "references"})
        if (name == record) layout = CaptionLayout::records;
    }
    return layout == CaptionLayout::unknown;
  }

 private:
  std::int64_t depth_ = 0;
};

}  // namespace

CaptionLayout caption_layout(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || text[first] == '[') return CaptionLayout::records;
  LayoutFinder finder;
  nlohmann::json::sax_parse(text.begin(), text.end(), &finder, nlohmann::json::input_format_t::json, false);
  if (finder.layout != CaptionLayout::unknown) return finder.layout;
  // A line that is a document of its own, with more behind it.
  const std::string_view line = text.substr(first, text.find('\n', first) - first);
  const bool lines = text.find_first_not_of(" \t\r\n", first + line.size()) != std::string_view::npos;
  return lines && nlohmann::json::accept(line) ? CaptionLayout::records : CaptionLayout::unknown;
}

}  // namespace capdiff
