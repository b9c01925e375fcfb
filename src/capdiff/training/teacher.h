#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "capdiff/backends/backend.h"
#include "capdiff/formats/safetensors.h"

namespace capdiff {

/// A frozen convolutional network given as a list of operations beside its weights: what a small image encoder learns
/// to imitate. `<name>.json` holds {"ops": [{"op", "in", "out", …}]} with Conv, Clip (to 0..6), Pad, Add, Transpose and
/// GlobalAveragePool; `<name>.safetensors` the tensors `<weight>.weight` [out, in / groups, kh, kw] and
/// `<weight>.bias`. What stands behind the pooling, a classifier, is not needed and not read.
class Teacher {
 public:
  /// `graph` is the JSON file. Throws `Error(invalid_model)` that names it for unknown operations, unknown inputs and
  /// weights that do not fit.
  Teacher(Backend& backend, const std::filesystem::path& graph);

  struct Features {
    Value grid;                ///< [B, h, w, C], the input of the global pooling
    Value pooled;              ///< [B, C]
    std::vector<Value> hints;  ///< [B, h, w, C]: the last residual sum at every resolution that has one, finest first
  };
  /// pixels [B, H, W, 3] in −1..1, H and W multiples of 32 for the usual networks.
  Features operator()(const Value& pixels) const;

 private:
  struct Operation {
    enum class Kind { convolution, clip, pad, add, copy };
    Kind kind = Kind::copy;
    std::vector<std::size_t> inputs;
    Packed weights;
    Conv2dOptions options;
  };

  void append(Backend& backend, const std::string& op, const class JsonReader& json, const SafetensorsFile& weights,
              std::map<std::string, std::size_t>& places);

  Backend* backend_;
  std::vector<Operation> operations_;  ///< the result of operation i is value i + 1; value 0 is the picture
  std::vector<std::size_t> sums_;      ///< values written by Add
  std::size_t grid_ = 0;
};

}  // namespace capdiff
