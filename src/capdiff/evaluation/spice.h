#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "capdiff/evaluation/caption_metric.h"

namespace capdiff {

struct SpiceOptions {
  std::filesystem::path jar;  ///< spice-1.0.jar, with its folder lib beside it
  std::string memory = "8G";  ///< the largest heap that Java may take, as its option -Xmx says it
  std::chrono::seconds timeout = std::chrono::hours(1);
};

/// SPICE (Anderson et al., 2016) by its authors' program, which the user has, with Java from $JAVA_HOME or PATH. It
/// gets captions in words. Columns: SPICE (F1 over scene graphs), SPICE-P and SPICE-R (precision and recall); corpus
/// values are means over images. Throws Error(unsupported) that says what is missing, what went wrong, or that time is
/// up.
std::unique_ptr<CaptionMetric> make_spice_metric(SpiceOptions options);

/// The major version that `java -version` prints ("1.8.0_292" is 8); 0 where there is none.
int java_version(std::string_view output);

}  // namespace capdiff
