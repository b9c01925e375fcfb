#pragma once

#include <cstdint>
#include <vector>

namespace capdiff {

/// A text as a model reads it, of the requested length L: special token, pieces, special token, padding.
struct EncodedText {
  std::vector<std::int64_t> ids;             ///< [L]
  std::vector<std::uint8_t> attention_mask;  ///< [L]: 1 from the first special token to the last, 0 on padding
  bool truncated = false;                    ///< whether pieces had to be left out
};

}  // namespace capdiff
