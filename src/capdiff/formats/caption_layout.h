#pragma once

#include <string_view>

namespace capdiff {

/// How a JSON file holds captions of pictures.
enum class CaptionLayout {
  coco,      ///< COCO's annotations
  karpathy,  ///< Karpathy's splits
  records,   ///< an array of objects, or JSON Lines
  unknown,
};

/// Finds the layout from as much of the text as it takes; malformed text may have any.
CaptionLayout caption_layout(std::string_view text);

}  // namespace capdiff
