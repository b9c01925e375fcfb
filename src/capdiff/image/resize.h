#pragma once

#include "capdiff/image/image.h"

namespace capdiff {

/// Resizes to exactly `width` x `height` as Pillow's `Image.resize(..., BICUBIC)` does, to the last bit: Keys' cubic
/// kernel with a = -1/2, widened when shrinking (anti-aliasing); a horizontal, then a vertical pass in fixed point with
/// 22 fractional bits, the picture between them rounded to 8 bits.
/// Throws `Error(invalid_input)` unless both sides are positive.
Image resize_bicubic(const Image& image, int width, int height);

/// Crops to `box`, then resizes; pixels outside the box have no influence.
/// Throws `Error(invalid_input)` unless the box is not empty and within the image.
Image resize_bicubic(const Image& image, const Box& box, int width, int height);

/// Resizes, then crops to `window`; computes nothing outside the window, whatever `width` and `height` are.
/// Throws `Error(invalid_input)` unless the window is not empty and within `width` x `height`.
Image resize_bicubic_window(const Image& image, int width, int height, const Box& window);

}  // namespace capdiff
