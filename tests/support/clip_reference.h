#pragma once

#include <map>
#include <string>

#include "capdiff/models/clip.h"
#include "tests/backends/op_reference.h"

namespace capdiff::test {

/// A small CLIP with random weights, and what it computes in double precision, written once more from the formulas.
struct ClipReference {
  struct Sizes {
    std::int64_t image_mlp = 20, text_mlp = 14;
  };

  /// A CLIP of a few thousand weights for the vocabulary of `tiny_merges`.
  explicit ClipReference(std::uint32_t seed = 1) : ClipReference(seed, Sizes()) {}
  ClipReference(std::uint32_t seed, const Sizes& sizes);

  ParameterStore parameters() const;
  std::map<std::string, HostTensor> state_dict() const;

  /// pixels [B, 3, S, S] → [B, E], not normalised.
  Array image_features(const Array& pixels) const;
  /// Rows of L ids → [B, E], not normalised.
  Array text_features(const std::vector<std::vector<std::int64_t>>& rows) const;

  ClipConfig config;
  std::map<std::string, Array> tensors;  ///< under OpenAI's names
};

/// Rows of a matrix divided by their lengths.
Array unit_rows(const Array& x);
double dot(const Array& a, std::int64_t row_a, const Array& b, std::int64_t row_b);

/// A `merges.txt` of ten merges, for 524 tokens.
std::string tiny_merges();

/// Writes a model folder of this CLIP.
void write_clip_folder(const ClipReference& clip, const std::filesystem::path& folder);

}  // namespace capdiff::test
