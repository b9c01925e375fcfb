#pragma once

#include <filesystem>
#include <set>
#include <string>

#include "capdiff/evaluation/verify.h"

namespace capdiff::test {

/// A folder of goldens, verified with oneDNN.
inline GoldenReport verified(const std::filesystem::path& folder, const VerifyOptions& options = {}) {
  const auto backend = make_onednn_backend({});
  return verify(folder, *backend, options);
}

/// The names of what failed.
inline std::set<std::string> failures(const GoldenReport& report) {
  std::set<std::string> names;
  for (const GoldenCheck& check : report.checks)
    if (!check.pass) names.insert(check.name);
  return names;
}

}  // namespace capdiff::test
