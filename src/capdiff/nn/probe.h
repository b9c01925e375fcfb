#pragma once

#include <functional>
#include <string_view>

#include "capdiff/backends/backend.h"

namespace capdiff {

/// Receives named intermediate values of a model, for comparison with reference implementations.
using Probe = std::function<void(std::string_view name, const Value& value)>;

}  // namespace capdiff
