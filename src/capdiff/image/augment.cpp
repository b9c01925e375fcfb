#include "capdiff/image/augment.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "capdiff/base/error.h"
#include "capdiff/image/resize.h"

namespace capdiff {
namespace {

double draw(const Range& range, const Uniform& uniform) {
  return range.low + (range.high - range.low) * uniform();
}

/// Uniform in {0, ..., last}.
int draw_offset(int last, const Uniform& uniform) {
  return std::min(last, static_cast<int>(std::floor(uniform() * (static_cast<double>(last) + 1.0))));
}

/// Half to even, as Python's round.
double round_even(double value) {
  return std::nearbyint(value);
}

Box centered(int width, int height, int crop_width, int crop_height) {
  return {(width - crop_width) / 2, (height - crop_height) / 2, crop_width, crop_height};
}

/// ITU-R BT.601 luma in 16-bit fixed point.
std::uint8_t luma(const std::uint8_t* rgb) {
  return static_cast<std::uint8_t>((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
}

std::uint8_t blend(int base, int value, float factor) {
  const float blended = static_cast<float>(base) + factor * static_cast<float>(value - base);
  return static_cast<std::uint8_t>(std::clamp(blended, 0.0f, 255.0f));
}

/// `base_of(pixel)` is the grey that the three channels of a pixel are blended with.
template <class Base>
Image blend_with(const Image& image, double factor, Base base_of) {
  if (factor == 1.0) return image;
  Image out = image;
  for (std::size_t i = 0; i < image.rgb.size(); i += 3) {
    const int base = base_of(&image.rgb[i]);
    for (std::size_t c = 0; c < 3; ++c) out.rgb[i + c] = blend(base, image.rgb[i + c], static_cast<float>(factor));
  }
  return out;
}

void check_range(std::string_view option, const Range& range, double low, double high, std::string_view expected) {
  // Negated, so that NaN fails too.
  if (!(range.low >= low && range.low <= range.high && range.high <= high))
    fail(ErrorCode::usage, "{} = [{}, {}]: expected {}, the lower one first", option, range.low, range.high, expected);
}

}  // namespace

void check(const AugmentOptions& options) {
  constexpr double kTiny = 1e-6;
  constexpr double kMaxFactor = 100.0;
  check_range("scale", options.scale, kTiny, 1.0, "two shares of the area above 0 and up to 1");
  check_range("aspect", options.aspect, 0.01, 100.0, "two aspect ratios from 0.01 to 100");
  check_range("brightness", options.brightness, 0.0, kMaxFactor, "two factors from 0 to 100");
  check_range("contrast", options.contrast, 0.0, kMaxFactor, "two factors from 0 to 100");
  check_range("saturation", options.saturation, 0.0, kMaxFactor, "two factors from 0 to 100");
  if (!(options.flip >= 0.0 && options.flip <= 1.0))
    fail(ErrorCode::usage, "flip = {}: expected a probability from 0 to 1", options.flip);
}

Box random_crop(int width, int height, const Range& scale, const Range& aspect, const Uniform& uniform) {
  assert(width > 0 && height > 0);
  constexpr int kTries = 10;
  const double area = static_cast<double>(width) * height;
  const Range log_aspect = {std::log(aspect.low), std::log(aspect.high)};
  for (int i = 0; i < kTries; ++i) {
    const double target = area * draw(scale, uniform);
    const double ratio = std::exp(draw(log_aspect, uniform));
    const double crop_width = round_even(std::sqrt(target * ratio));
    const double crop_height = round_even(std::sqrt(target / ratio));
    if (crop_width < 1 || crop_width > width || crop_height < 1 || crop_height > height) continue;
    Box box{0, 0, static_cast<int>(crop_width), static_cast<int>(crop_height)};
    box.y = draw_offset(height - box.height, uniform);
    box.x = draw_offset(width - box.width, uniform);
    return box;
  }
  const double ratio = static_cast<double>(width) / height;
  if (ratio < aspect.low)
    return centered(width, height, width, std::clamp(static_cast<int>(round_even(width / aspect.low)), 1, height));
  if (ratio > aspect.high)
    return centered(width, height, std::clamp(static_cast<int>(round_even(height * aspect.high)), 1, width), height);
  return {0, 0, width, height};
}

Image adjust_brightness(const Image& image, double factor) {
  return blend_with(image, factor, [](const std::uint8_t*) { return 0; });
}

Image adjust_contrast(const Image& image, double factor) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < image.rgb.size(); i += 3) sum += luma(&image.rgb[i]);
  const double count = std::max<double>(1.0, static_cast<double>(image.rgb.size() / 3));
  const int mean = static_cast<int>(static_cast<double>(sum) / count + 0.5);
  return blend_with(image, factor, [mean](const std::uint8_t*) { return mean; });
}

Image adjust_saturation(const Image& image, double factor) {
  return blend_with(image, factor, [](const std::uint8_t* pixel) { return int{luma(pixel)}; });
}

Augmentation draw_augmentation(int width, int height, const AugmentOptions& options, const Uniform& uniform) {
  Augmentation drawn;
  drawn.crop = random_crop(width, height, options.scale, options.aspect, uniform);
  drawn.flip = uniform() < options.flip;
  drawn.brightness = draw(options.brightness, uniform);
  drawn.contrast = draw(options.contrast, uniform);
  drawn.saturation = draw(options.saturation, uniform);
  return drawn;
}

Image augment(const Image& image, int size, const Augmentation& drawn) {
  Image sample = resize_bicubic(image, drawn.crop, size, size);
  if (drawn.flip) sample = flip_horizontal(sample);
  if (drawn.brightness != 1.0) sample = adjust_brightness(sample, drawn.brightness);
  if (drawn.contrast != 1.0) sample = adjust_contrast(sample, drawn.contrast);
  return drawn.saturation != 1.0 ? adjust_saturation(sample, drawn.saturation) : sample;
}

Image augment(const Image& image, int size, const AugmentOptions& options, const Uniform& uniform) {
  if (image.width <= 0 || image.height <= 0) fail(ErrorCode::invalid_input, "an image without pixels");
  return augment(image, size, draw_augmentation(image.width, image.height, options, uniform));
}

}  // namespace capdiff
