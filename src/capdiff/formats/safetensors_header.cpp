#include "capdiff/formats/safetensors_header.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

constexpr std::size_t kMaxTensors = 1'000'000;
constexpr std::size_t kMaxNameBytes = 4096;
constexpr std::size_t kMaxRank = 32;

constexpr std::array kDTypes = {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i64,
                                DType::i32, DType::i16, DType::i8,  DType::u8,   DType::boolean};

/// Follows the grammar of the header event by event; whatever does not belong where it stands is an error. This is how
/// keys given twice are seen, which a tree of JSON values would merge silently.
class HeaderHandler final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderHandler(const std::string& file) : file_(file) {}

  SafetensorsHeader take() { return std::move(header_); }

  bool start_object(std::size_t) override {
    switch (place_) {
      case Place::start: place_ = Place::names; return true;
      case Place::names:
        if (name_ == kSafetensorsMetadata) {
          place_ = Place::metadata;
          return true;
        }
        place_ = Place::tensor;
        entry_ = {};
        dtype_.clear();
        sizes_.clear();
        offsets_.clear();
        seen_dtype_ = seen_shape_ = seen_offsets_ = false;
        return true;
      default: refuse("an object");
    }
  }

  bool end_object() override {
    switch (place_) {
      case Place::names: place_ = Place::done; return true;
      case Place::metadata: place_ = Place::names; return true;
      default:
        finish_tensor();
        place_ = Place::names;
        return true;
    }
  }

  bool key(std::string& key) override {
    if (place_ == Place::names) {
      if (key.size() > kMaxNameBytes)
        fail(ErrorCode::invalid_model, "{}: a tensor's name has {} bytes", file_, key.size());
      if (header_.entries.size() >= kMaxTensors)
        fail(ErrorCode::invalid_model, "{} has more than {} tensors", file_, kMaxTensors);
      if (header_.entries.contains(key) || (key == kSafetensorsMetadata && std::exchange(seen_metadata_, true)))
        fail(ErrorCode::invalid_model, "{} has \"{}\" twice", file_, key);
      name_ = std::move(key);
      return true;
    }
    if (place_ == Place::metadata) {
      if (header_.metadata.contains(key))
        fail(ErrorCode::invalid_model, "{} has \"{}\" twice in its metadata", file_, key.substr(0, 64));
      metadata_key_ = std::move(key);
      return true;
    }
    bool* const seen = key == "dtype"          ? &seen_dtype_
                       : key == "shape"        ? &seen_shape_
                       : key == "data_offsets" ? &seen_offsets_
                                               : nullptr;
    if (!seen)
      fail(ErrorCode::invalid_model, "{}: tensor \"{}\" has the unknown member \"{}\"", file_, name_,
           key.substr(0, 64));
    if (std::exchange(*seen, true))
      fail(ErrorCode::invalid_model, "{}: tensor \"{}\" has \"{}\" twice", file_, name_, key);
    member_ = std::move(key);
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ != Place::tensor || member_ == "dtype") refuse("an array");
    place_ = member_ == "shape" ? Place::shape : Place::offsets;
    return true;
  }

  bool end_array() override {
    place_ = Place::tensor;
    return true;
  }

  bool string(std::string& value) override {
    if (place_ == Place::metadata)
      header_.metadata.emplace(std::move(metadata_key_), std::move(value));
    else if (place_ == Place::tensor && member_ == "dtype")
      dtype_ = std::move(value);
    else
      refuse("a string");
    return true;
  }

  bool number_unsigned(std::uint64_t value) override {
    if (place_ == Place::shape) {
      if (sizes_.size() == kMaxRank)
        fail(ErrorCode::invalid_model, "{}: tensor \"{}\" has more than {} axes", file_, name_, kMaxRank);
      if (value > static_cast<std::uint64_t>(INT64_MAX)) refuse("a number beyond 63 bits");
      sizes_.push_back(static_cast<std::int64_t>(value));
    } else if (place_ == Place::offsets && offsets_.size() < 2) {
      offsets_.push_back(value);
    } else {
      refuse("a number");
    }
    return true;
  }

  bool number_integer(std::int64_t) override { refuse("a negative number"); }
  bool number_float(double, const std::string&) override { refuse("a number that is not an integer of 64 bits"); }
  bool null() override { refuse("null"); }
  bool boolean(bool) override { refuse("true or false"); }
  bool binary(nlohmann::json::binary_t&) override { refuse("binary data"); }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) override {
    fail(ErrorCode::invalid_model, "{}: the header is not valid JSON (byte {})", file_, position);
  }

 private:
  enum class Place { start, names, metadata, tensor, shape, offsets, done };

  [[noreturn]] void refuse(const char* what) const {
    if (name_.empty()) fail(ErrorCode::invalid_model, "{}: the header holds {} in a wrong place", file_, what);
    fail(ErrorCode::invalid_model, "{}: \"{}\" holds {} in a wrong place", file_, name_, what);
  }

  void finish_tensor() {
    if (!seen_dtype_ || !seen_shape_ || offsets_.size() != 2)
      fail(ErrorCode::invalid_model, "{}: tensor \"{}\" lacks its dtype, shape or two data offsets", file_, name_);
    const auto dtype = std::find_if(kDTypes.begin(), kDTypes.end(), [&](DType d) { return name_of(d) == dtype_; });
    if (dtype == kDTypes.end())
      fail(ErrorCode::unsupported, "{}: tensor \"{}\" has elements of type \"{}\", which capdiff does not read", file_,
           name_, dtype_.substr(0, 32));

    std::int64_t bytes = static_cast<std::int64_t>(size_of(*dtype));
    for (const std::int64_t size : sizes_)
      if (__builtin_mul_overflow(bytes, size, &bytes))
        fail(ErrorCode::invalid_model, "{}: the size of tensor \"{}\" overflows", file_, name_);
    if (offsets_[1] < offsets_[0] || offsets_[1] - offsets_[0] != static_cast<std::uint64_t>(bytes))
      fail(ErrorCode::invalid_model, "{}: tensor \"{}\" needs {} bytes, and has those from {} to {}", file_, name_,
           bytes, offsets_[0], offsets_[1]);
    entry_.dtype = *dtype;
    entry_.shape = Shape(std::move(sizes_));
    entry_.begin = offsets_[0];
    entry_.end = offsets_[1];
    header_.entries.emplace(std::move(name_), std::move(entry_));
    name_.clear();
  }

  const std::string& file_;
  SafetensorsHeader header_;
  Place place_ = Place::start;
  bool seen_metadata_ = false;
  std::string metadata_key_;

  // The tensor being read.
  std::string name_;
  std::string member_;
  SafetensorsFile::Entry entry_;
  std::string dtype_;
  std::vector<std::int64_t> sizes_;
  std::vector<std::uint64_t> offsets_;
  bool seen_dtype_ = false;
  bool seen_shape_ = false;
  bool seen_offsets_ = false;
};

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view json, const std::string& file) {
  HeaderHandler handler(file);
  // Other white space or a byte order mark in front would make the file something else to other readers.
  if (!json.starts_with('{')) fail(ErrorCode::invalid_model, "{} is not a safetensors file", file);
  // The parser takes a zero byte for the end of the text, and would not look at what follows.
  if (json.find('\0') != std::string_view::npos)
    fail(ErrorCode::invalid_model, "{}: the header is not valid JSON: it has a zero byte", file);
  nlohmann::json::sax_parse(json.begin(), json.end(), &handler);
  return handler.take();
}

}  // namespace capdiff
