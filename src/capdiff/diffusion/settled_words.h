#pragma once

#include <cstdint>
#include <vector>

#include "capdiff/tensor/host_tensor.h"

namespace capdiff {

/// What becomes of words that have stopped changing before the walk ends. Calls are counted in a row; 0: never.
struct Settling {
  std::int64_t stop_after = 0;    ///< a caption is done when so many calls agree on all its words
  std::int64_t freeze_after = 0;  ///< a word that so many calls agree on keeps its latent from then on

  bool watches() const { return stop_after > 0 || freeze_after > 0; }
};

/// For how many calls every word of a batch has stayed what it is.
class SettledWords {
 public:
  /// The words i64 [B, L] that the latest call would end with.
  void update(const HostTensor& words);
  /// f32 [B, L, 1]: 1 where `calls` calls in a row agree.
  HostTensor mask(std::int64_t calls) const;
  /// Of each row, whether that holds for all its words.
  std::vector<bool> rows(std::int64_t calls) const;
  /// Only these rows, in this order, are updated from now on.
  void keep_only(const std::vector<std::int64_t>& rows);

 private:
  std::int64_t length_ = 0;                   ///< L
  std::vector<std::int64_t> words_, agreed_;  ///< [B · L]: the latest words, and how many calls have said so
};

}  // namespace capdiff
