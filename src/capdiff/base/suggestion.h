#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace capdiff {

/// The end of an error message about an unknown `name`: `; did you mean "guidance"?` with the nearest of `known` by
/// edit distance, or nothing where none is near.
std::string suggestion(std::string_view name, const std::vector<std::string>& known);

}  // namespace capdiff
