#pragma once

#include <cstddef>
#include <span>

#include "capdiff/image/image.h"

namespace capdiff {

/// How a stored picture has to be turned to be upright: the values of the EXIF tag Orientation (0x0112), named by
/// where row 0 and column 0 of the stored pixels belong (EXIF 2.3, section 4.6.4).
enum class Orientation {
  top_left = 1,
  top_right,     ///< mirrored left to right
  bottom_right,  ///< turned by 180 degrees
  bottom_left,   ///< mirrored top to bottom
  left_top,      ///< mirrored along the main diagonal
  right_top,     ///< to be turned 90 degrees clockwise
  right_bottom,  ///< mirrored along the other diagonal
  left_bottom,   ///< to be turned 90 degrees anticlockwise
};

/// The body of the first EXIF segment (APP1) in front of the pixels of a JPEG file, as a TIFF structure; empty if
/// there is none. Never reads outside `jpeg`.
std::span<const std::byte> find_jpeg_exif(std::span<const std::byte> jpeg);

/// Reads Orientation from the first directory of a TIFF structure. Pictures are worth more than their annotations:
/// anything that is damaged, absent or outside 1..8 counts as `top_left`. Never reads outside `tiff`.
Orientation exif_orientation(std::span<const std::byte> tiff);

/// The upright picture; width and height change places from `left_top` on.
Image turn_upright(Image image, Orientation orientation);

}  // namespace capdiff
