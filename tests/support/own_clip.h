#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "capdiff/models/clip.h"

namespace capdiff::test {

/// A CLIP of a few thousand weights: a conv-vit of 16 pixels, and a text tower for `own_clip_vocabulary`.
ClipConfig own_clip_config();
std::vector<std::string> own_clip_vocabulary();

/// Writes a model folder of it with random weights.
void write_own_clip(const std::filesystem::path& folder, std::uint64_t seed = 1);

}  // namespace capdiff::test
