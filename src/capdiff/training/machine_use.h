#pragma once

#include "capdiff/backends/torch/torch_backend.h"

namespace capdiff {

/// Floating-point operations a second of a large matrix product in the backend's arithmetic, on its device: measured
/// once for each in a process, in a fraction of a second. It is what this machine gives just now, not what its maker
/// promises.
double matrix_rate(const TorchBackend& backend);

/// The most memory in use at any time so far, in bytes: on CUDA what LibTorch took of the device's, elsewhere the
/// process's.
double peak_memory(torch::Device device);

}  // namespace capdiff
