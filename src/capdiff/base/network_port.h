#pragma once

namespace capdiff {

/// A TCP port of this machine that nobody listened on a moment ago: for processes that are about to meet there. Throws
/// `Error(io)` where there is none.
int free_port();

}  // namespace capdiff
