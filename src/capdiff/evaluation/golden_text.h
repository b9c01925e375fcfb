#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "capdiff/evaluation/golden_report.h"

/// What the goldens of tokenisers have in common.
namespace capdiff {

/// What the vocabulary of a folder of goldens is called.
struct VocabularyName {
  std::string_view own;     ///< in the folder itself
  std::string_view shared;  ///< in text/ of the development data
};

/// `given`, else the folder's own vocabulary, else that in $CAPDIFF_DATA/text, else that in ../../data/text from the
/// folder. Throws Error(not_found) where there is none.
std::filesystem::path find_vocabulary(const std::filesystem::path& folder,
                                      const std::optional<std::filesystem::path>& given, const VocabularyName& name);

/// The number behind "ids" in "ids24", or nothing.
std::optional<std::int64_t> number_behind(std::string_view prefix, std::string_view key);

/// Runs `check` on every case of a golden JSON file with the case's path ("wordpiece.tokenize.3"), as parts of the
/// report. That there are none is a failure.
void for_each_case(GoldenReport& report, const std::string& path, const nlohmann::json& cases,
                   const std::function<void(const std::string& path, const nlohmann::json& example)>& check);

}  // namespace capdiff
