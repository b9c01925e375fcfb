#include "capdiff/image/preprocess.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "capdiff/base/error.h"
#include "capdiff/formats/json_reader.h"
#include "capdiff/image/resize.h"

namespace capdiff {
namespace {

using nlohmann::json;

constexpr int kMaxSize = 4096;
constexpr int kPillowBicubic = 3;
constexpr double kMaxStatistic = 1e6;

/// CLIP's law: the shorter side becomes `size`, the longer one int(size * long / short); the window starts at
/// (long - size) / 2 rounded half to even.
Image resize_and_center_crop(const Image& image, int size) {
  const auto scaled = [&](int side, int shorter) {
    const std::int64_t length = std::int64_t{size} * side / shorter;
    if (length > std::numeric_limits<int>::max())
      fail(ErrorCode::invalid_input, "a picture of {} x {} pixels is too elongated to crop its centre", image.width,
           image.height);
    return static_cast<int>(length);
  };
  const int shorter = std::min(image.width, image.height);
  const int width = scaled(image.width, shorter), height = scaled(image.height, shorter);
  const auto offset = [&](int side) { return static_cast<int>(std::nearbyint((side - size) / 2.0)); };
  return resize_bicubic_window(image, width, height, Box{offset(width), offset(height), size, size});
}

int read_side(const JsonReader& reader, std::string_view key) {
  return static_cast<int>(reader.get_int(key, 1, kMaxSize));
}

/// The side of a square: a number, or {"height", "width"}.
int read_square(const JsonReader& reader, std::string_view key) {
  if (!reader.json().at(key).is_object()) return read_side(reader, key);
  const JsonReader sides = reader.get_object(key);
  const int height = read_side(sides, "height"), width = read_side(sides, "width");
  if (height != width)
    fail(ErrorCode::unsupported, "{}: {} is {} x {}, only squares are supported", reader.source(), key, width, height);
  return width;
}

/// One number per channel, in the order R, G, B.
std::array<float, 3> read_channels(const JsonReader& reader, std::string_view key, double min,
                                   const std::array<float, 3>& otherwise) {
  if (!reader.has(key)) return otherwise;
  const std::vector<double> values = reader.get_numbers(key, otherwise.size(), min, kMaxStatistic);
  if (values.size() != otherwise.size())
    fail(ErrorCode::invalid_model, "{}: {} has {} numbers, expected 3", reader.source(), key, values.size());
  std::array<float, 3> channels;
  std::transform(values.begin(), values.end(), channels.begin(), [](double v) { return static_cast<float>(v); });
  return channels;
}

}  // namespace

Image Preprocessor::resize(const Image& image) const {
  if (image.width <= 0 || image.height <= 0) fail(ErrorCode::invalid_input, "an image without pixels");
  if (fit == Fit::center_crop) return resize_and_center_crop(image, size);
  return resize_bicubic(image, size, size);
}

void Preprocessor::write_pixels(const Image& image, std::span<float> out) const {
  const Image resized = resize(image);
  const std::size_t plane = resized.rgb.size() / 3;
  if (out.size() != 3 * plane)
    fail(ErrorCode::internal, "{} values for a picture of {} x {} pixels", out.size(), size, size);
  for (std::size_t c = 0; c < 3; ++c) {
    std::array<float, 256> normalized;
    for (int v = 0; v < 256; ++v)
      normalized[static_cast<std::size_t>(v)] = (static_cast<float>(v) / 255.0f - mean[c]) / std[c];
    for (std::size_t i = 0; i < plane; ++i) out[c * plane + i] = normalized[resized.rgb[3 * i + c]];
  }
}

HostTensor Preprocessor::pixels(const Image& image) const {
  HostTensor tensor(DType::f32, {3, size, size});
  write_pixels(image, tensor.mutable_values<float>());
  return tensor;
}

HostTensor Preprocessor::batch(std::span<const Image> images) const {
  HostTensor tensor(DType::f32, {static_cast<std::int64_t>(images.size()), 3, size, size});
  const std::span<float> values = tensor.mutable_values<float>();
  const std::size_t length = images.empty() ? 0 : values.size() / images.size();
  for (std::size_t i = 0; i < images.size(); ++i) write_pixels(images[i], values.subspan(i * length, length));
  return tensor;
}

Preprocessor preprocessor_from_json(const nlohmann::json& config, const std::string& name) {
  const JsonReader reader(config, name, ErrorCode::invalid_model);
  for (const char* step : {"do_resize", "do_rescale", "do_normalize"})
    if (!reader.get_bool(step, true))
      fail(ErrorCode::unsupported, "{}: {} is false, which is not supported", name, step);
  if (const auto resample = reader.get_int("resample", 0, 5, kPillowBicubic); resample != kPillowBicubic)
    fail(ErrorCode::unsupported, "{}: resample is {}, only {} (bicubic) is supported", name, resample, kPillowBicubic);
  if (const double factor = reader.get_number("rescale_factor", 0.0, 1.0, 1.0 / 255.0);
      std::abs(factor * 255.0 - 1.0) > 1e-6)
    fail(ErrorCode::unsupported, "{}: rescale_factor is {}, only 1/255 is supported", name, factor);

  Preprocessor result;
  const bool center_crop = reader.get_bool("do_center_crop", false);
  if (reader.has("size")) {
    const json& size = config.at("size");
    const bool shortest_edge = size.is_object() && size.contains("shortest_edge");
    if (shortest_edge && !center_crop)
      fail(ErrorCode::unsupported, "{}: size.shortest_edge without do_center_crop gives oblong pictures", name);
    result.size = shortest_edge ? read_side(reader.get_object("size"), "shortest_edge") : read_square(reader, "size");
    if (center_crop && (shortest_edge || !size.is_object())) result.fit = Preprocessor::Fit::center_crop;
  } else if (center_crop) {
    result.fit = Preprocessor::Fit::center_crop;
  }
  if (center_crop && reader.has("crop_size")) {
    if (const int crop_size = read_square(reader, "crop_size"); crop_size != result.size)
      fail(ErrorCode::unsupported, "{}: crop_size is {}, only that of size, {}, is supported", name, crop_size,
           result.size);
  }
  result.mean = read_channels(reader, "image_mean", -kMaxStatistic, result.mean);
  result.std = read_channels(reader, "image_std", 1.0 / kMaxStatistic, result.std);
  return result;
}

nlohmann::json to_json(const Preprocessor& preprocessor) {
  const json square = {{"height", preprocessor.size}, {"width", preprocessor.size}};
  json config = {{"do_resize", true},
                 {"size", square},
                 {"resample", kPillowBicubic},
                 {"do_rescale", true},
                 {"rescale_factor", 1.0 / 255.0},
                 {"do_normalize", true},
                 {"image_mean", preprocessor.mean},
                 {"image_std", preprocessor.std},
                 {"do_convert_rgb", true},
                 {"do_center_crop", false}};
  if (preprocessor.fit == Preprocessor::Fit::center_crop) {
    config["size"] = {{"shortest_edge", preprocessor.size}};
    config["do_center_crop"] = true;
    config["crop_size"] = square;
  }
  return config;
}

}  // namespace capdiff
