#pragma once

#include <string_view>

namespace capdiff {

/// Sends what is logged with spdlog::info, spdlog::warn, ... to standard error, and only there: standard output belongs
/// to results. `level` is trace, debug, info, warning, error or off; empty means $CAPDIFF_LOG, or info where that is
/// unset too. Colours only on a terminal and unless NO_COLOR is set. A log line never tears a progress bar. Throws
/// `Error(usage)` for an unknown level.
void set_up_logging(std::string_view level = {});

}  // namespace capdiff
