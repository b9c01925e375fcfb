#pragma once

#include <cstdint>
#include <string_view>

#include "capdiff/backends/backend.h"

namespace capdiff {

/// Which estimates are drawn to the words they are nearest to while sampling (the clamping trick of Diffusion-LM).
struct Clamping {
  enum class Kind {
    none,
    hard,  ///< x̂0 becomes the embedding of the nearest word
    soft,  ///< x̂0 becomes Σ softmax(−‖x̂0 − w‖² / temperature) w
  };
  Kind kind = Kind::none;
  double from = 1.0;         ///< acts where t ≤ from · T
  double temperature = 1.0;  ///< soft only

  bool acts_at(std::int64_t t, std::int64_t time_steps) const {
    return kind != Kind::none && static_cast<double>(t) <= from * static_cast<double>(time_steps);
  }
};

Clamping::Kind clamping_kind(std::string_view name);
std::string_view name_of(Clamping::Kind kind);

/// Draws latents to words. Holds the embeddings of the moment it was made.
class WordClamp {
 public:
  /// `words` f32 [V, D].
  WordClamp(Backend& backend, const HostTensor& words);

  /// Ids i64 [B, L] of the words with the smallest ‖x − w‖²; the lowest id of equals.
  Value nearest(const Value& x) const;
  /// x̂0 [B, L, D] as `clamping` says, whatever the time.
  Value operator()(const Value& x0, const Clamping& clamping) const;

 private:
  /// x · w − ‖w‖² / 2 [B, L, V]: largest for the nearest word.
  Value nearness(const Value& x) const;

  Backend* backend_;
  Value table_;
  Packed words_, columns_;
};

}  // namespace capdiff
