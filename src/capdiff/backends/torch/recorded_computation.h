#pragma once

#include <functional>
#include <list>
#include <memory>
#include <vector>

#include "capdiff/backends/backend.h"
#include "capdiff/backends/torch/torch_headers.h"

namespace capdiff::torch_detail {

/// Work that was recorded once, on tensors that stay where they are, and can be done again.
class Recording {
 public:
  virtual ~Recording() = default;
  /// Does the work; what it reads and writes is where it was when recorded.
  virtual void replay() = 0;
  /// Where the result stands after each replay.
  virtual const torch::Tensor& output() const = 0;
};

using MakeRecording = std::function<std::unique_ptr<Recording>(const std::function<torch::Tensor()>& work)>;

/// A `Computation` that records its work once for inputs of the same shapes and types, and replays it from then on.
/// Inputs are copied to where the recording reads them, but only those that are not the values of the call before; so
/// what all steps of a walk share is copied once. Recordings of the last few shapes are kept.
class RecordedComputation {
 public:
  RecordedComputation(Computation computation, MakeRecording make);

  /// The result is a copy, in f32 or i64.
  Value operator()(std::span<const Value> inputs) const;

 private:
  struct Entry;
  struct State;
  std::shared_ptr<State> state_;  ///< copies of a Computation are one computation
};

/// A CUDA graph on the current device. `work` runs a few times for warming up, and once while it is captured. Throws
/// `Error(unsupported)` where this program was built without CUDA.
std::unique_ptr<Recording> make_cuda_graph(const std::function<torch::Tensor()>& work);

}  // namespace capdiff::torch_detail
