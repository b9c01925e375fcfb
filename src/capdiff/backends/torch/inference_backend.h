#pragma once

#include <memory>

#include "capdiff/backends/backend.h"

namespace capdiff {

/// A `TorchBackend` that only infers, on CUDA or on the CPU, for code that does not know LibTorch. Throws as its
/// constructor does; `Error(unsupported)` where there is no CUDA device.
std::unique_ptr<Backend> make_torch_inference_backend(const BackendOptions& options, bool on_cuda);

}  // namespace capdiff
