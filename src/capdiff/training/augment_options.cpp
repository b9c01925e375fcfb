#include "capdiff/training/augment_options.h"

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

Range read_range(const JsonReader& table, std::string_view key, Range otherwise) {
  if (!table.has(key)) return otherwise;
  const std::vector<double> ends = table.get_numbers(key, 2, 0.0, 1000.0);
  if (ends.size() != 2) fail(ErrorCode::usage, "{}: {} needs two numbers, lowest and highest", table.source(), key);
  return {ends[0], ends[1]};
}

}  // namespace

AugmentOptions read_augment_options(const JsonReader& table) {
  AugmentOptions options;
  options.scale = read_range(table, "crop_scale", options.scale);
  options.aspect = read_range(table, "crop_aspect", options.aspect);
  options.brightness = read_range(table, "brightness", options.brightness);
  options.contrast = read_range(table, "contrast", options.contrast);
  options.saturation = read_range(table, "saturation", options.saturation);
  options.flip = table.get_number("flip", 0.0, 1.0, options.flip);
  check(options);
  return options;
}

}  // namespace capdiff
