#pragma once

#include <filesystem>
#include <optional>

#include "capdiff/evaluation/golden_report.h"

namespace capdiff {

/// Recomputes everything of METEOR in a folder of goldens of the metrics, as far as the files are there:
/// `*_expected.json`, `*_meteor_detail.json`, `meteor_parts.json`, `edge_cases.json` and `published.json`. Scores may
/// differ by 1e-9; counts, alignments and texts must be equal. METEOR's data folder is the one given, otherwise
/// `meteor` of the folder, $CAPDIFF_DATA/meteor, then ../../data/meteor from the folder; `Error(not_found)` where none
/// is there and the folder has something of METEOR.
void verify_meteor(const std::filesystem::path& folder, const std::optional<std::filesystem::path>& meteor_data,
                   GoldenReport& report);

}  // namespace capdiff
