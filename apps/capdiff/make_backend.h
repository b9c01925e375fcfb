#pragma once

#include <memory>
#include <string>

#include "capdiff/backends/backend.h"

namespace capdiff::app {

/// What the subcommands compute with on the device "cpu" or "cuda". Each program has its own: `capdiff` oneDNN, and it
/// becomes `capdiff-train` before it would need another device; `capdiff-train` LibTorch.
std::unique_ptr<Backend> make_backend(const BackendOptions& options, const std::string& device);

}  // namespace capdiff::app
