#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "capdiff/evaluation/caption_metric.h"

namespace capdiff {

/// METEOR (metrics/meteor.h) with METEOR's own data folder, or with WordNet as Debian installs it where none is given.
/// Throws as `MeteorResources`.
std::unique_ptr<CaptionMetric> make_meteor_metric(const std::optional<std::filesystem::path>& data);

}  // namespace capdiff
