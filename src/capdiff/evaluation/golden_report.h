#pragma once

#include <functional>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "capdiff/tensor/shape.h"

namespace capdiff {

/// How far scores in double precision may be from their goldens.
inline constexpr double kScoreTolerance = 1e-9;
/// The difference of things that cannot be compared.
inline constexpr double kIncomparable = std::numeric_limits<double>::infinity();

/// A golden number, or a tensor of them, beside what was computed here.
struct GoldenCheck {
  std::string name;
  Shape shape = {};
  double max_abs = 0.0;    ///< largest |computed − golden|; 1 for texts that differ, infinite where nothing compares
  double max_rel = 0.0;    ///< the same over the largest |golden|
  double tolerance = 0.0;  ///< largest max_abs allowed
  bool pass = true;
  std::string note = {};  ///< what is wrong, where numbers do not tell
};

/// What a verification found.
struct GoldenReport {
  std::vector<GoldenCheck> checks;
  std::vector<std::string> skipped;  ///< goldens that need a backend with autograd

  std::size_t failed() const;
  std::size_t passed() const { return checks.size() - failed(); }

  /// A failure that no numbers tell, under the golden's name.
  GoldenCheck& fail_check(std::string name, std::string note);
  /// Runs a part of a verification. Where it throws `Error`, or JSON is not laid out as it expects, it has failed under
  /// `name`; the other parts go on.
  void part(const std::string& name, const std::function<void()>& run);
  /// Compares what a golden JSON file states at `path` ("paper.ddim5.captions") with what was computed: texts and
  /// truth values exactly, numbers to within `tolerance` and `relative` of the golden, arrays element by element.
  GoldenCheck& compare_json(const std::string& path, const nlohmann::json& golden, const nlohmann::json& computed,
                            double tolerance = 0.0, double relative = 0.0);
};

/// The object that `--json` prints: {"tensors": [{"name", "shape", "max_abs", "max_rel", "tolerance", "pass"}],
/// "passed", "failed", "skipped"}; failures may have a "note".
nlohmann::ordered_json to_json(const GoldenReport& report);
/// A line for every golden, and a last one that counts them.
std::string to_table(const GoldenReport& report);

}  // namespace capdiff
