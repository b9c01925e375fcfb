#pragma once

#include <cstddef>

namespace capdiff {

/// How many of so many connections the limit of open files (ulimit -n) leaves room for, beside what a server needs
/// itself. The limit is raised before as far as the process may; at least 1.
std::size_t connections_that_fit(std::size_t wanted);

}  // namespace capdiff
