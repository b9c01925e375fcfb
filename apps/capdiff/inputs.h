#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "capdiff/image/image.h"

namespace capdiff::app {

/// One picture to caption, or the reason why an argument gives none.
struct Input {
  std::string name;   ///< the path as results show it; "-" is standard input
  std::string error;  ///< not empty where there is nothing to read
};

/// The pictures that arguments stand for, in order. A folder gives its .jpg, .jpeg and .png files by name, with
/// `recursive` those of its subfolders too; one without any is an error that names it.
std::vector<Input> expand_inputs(const std::vector<std::string>& arguments, bool recursive);

/// Decodes an input; standard input may hold 1 GiB.
Image read_input(const Input& input);

}  // namespace capdiff::app
