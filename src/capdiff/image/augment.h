#pragma once

#include <functional>

#include "capdiff/image/image.h"

namespace capdiff {

/// A source of independent uniform numbers in [0, 1). What a training sample looks like depends on nothing else, so
/// callers key it by seed and sample index.
using Uniform = std::function<double()>;

/// The closed interval a value is drawn from.
struct Range {
  double low, high;

  bool operator==(const Range&) const = default;
};

/// The augmentation of LaDiC's training: a random crop of at least half the area, mirrored every other time. Colour
/// jitter is off while its factors are all 1.
struct AugmentOptions {
  Range scale = {0.5, 1.0};               ///< share of the picture's area that the crop covers, within (0, 1]
  Range aspect = {3.0 / 4.0, 4.0 / 3.0};  ///< width / height of the crop, log-uniform
  double flip = 0.5;                      ///< probability of mirroring left to right
  Range brightness = {1.0, 1.0};          ///< factors of `adjust_brightness`, not negative
  Range contrast = {1.0, 1.0};
  Range saturation = {1.0, 1.0};
};

/// Throws `Error(usage)` that names the option and its allowed values.
void check(const AugmentOptions& options);

/// Draws the crop of torchvision's RandomResizedCrop: up to ten times an area and an aspect ratio, until the rectangle
/// fits; then its place, uniformly. Should none fit, the largest centred rectangle of an allowed aspect ratio.
Box random_crop(int width, int height, const Range& scale, const Range& aspect, const Uniform& uniform);

/// The colour operations blend the picture with one that lacks the property, as Pillow's ImageEnhance does:
/// out = base + factor * (in - base), cut to 0..255. Factor 1 changes nothing, 0 gives the base.
Image adjust_brightness(const Image& image, double factor);  ///< base: black
Image adjust_contrast(const Image& image, double factor);    ///< base: the mean grey of the picture, everywhere
Image adjust_saturation(const Image& image, double factor);  ///< base: the grey of each pixel

/// What is done to one picture.
struct Augmentation {
  Box crop;
  bool flip = false;
  double brightness = 1.0, contrast = 1.0, saturation = 1.0;
};

/// Draws crop, flip, brightness, contrast and saturation, in this order. `options` must have passed `check`.
Augmentation draw_augmentation(int width, int height, const AugmentOptions& options, const Uniform& uniform);

/// A `size` x `size` training sample: crop, bicubic resize, flip, colour. Throws as `resize_bicubic`.
Image augment(const Image& image, int size, const Augmentation& drawn);

/// The same with a freshly drawn augmentation.
Image augment(const Image& image, int size, const AugmentOptions& options, const Uniform& uniform);

}  // namespace capdiff
