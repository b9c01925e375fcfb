#include "capdiff/evaluation/golden_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

std::string excerpt(const nlohmann::json& value) {
  constexpr std::size_t kLongest = 200;
  std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "…";
  return text;
}

/// Sizes of nested arrays, as far as the first elements have them.
Shape shape_of(const nlohmann::json& value) {
  std::vector<std::int64_t> sizes;
  for (const nlohmann::json* at = &value; at->is_array(); at = &at->front()) {
    sizes.push_back(static_cast<std::int64_t>(at->size()));
    if (at->empty()) break;
  }
  return Shape(std::move(sizes));
}

/// How two JSON values differ.
struct JsonDifference {
  double largest = 0.0;    ///< of numbers; of others 0 or 1, and infinite for arrays of different lengths
  double magnitude = 0.0;  ///< the largest golden number
  bool allowed = true;
};

void compare(const nlohmann::json& golden, const nlohmann::json& computed, double tolerance, double relative,
             JsonDifference& result) {
  if (golden.is_array() && computed.is_array() && golden.size() == computed.size()) {
    for (std::size_t i = 0; i < golden.size(); ++i) compare(golden[i], computed[i], tolerance, relative, result);
    return;
  }
  double here = golden == computed ? 0.0 : 1.0, allowed = tolerance;
  if (golden.is_array() || computed.is_array()) here = here == 0.0 ? 0.0 : kIncomparable;
  if (golden.is_number() && computed.is_number()) {
    const double size = std::abs(golden.get<double>());
    here = std::abs(golden.get<double>() - computed.get<double>());
    if (std::isnan(here)) here = kIncomparable;
    result.magnitude = std::max(result.magnitude, size);
    allowed += relative * size;
  }
  result.largest = std::max(result.largest, here);
  result.allowed = result.allowed && here <= allowed;
}

std::string line_of(const GoldenCheck& check) {
  return fmt::format("{:<72} {:<18} {:>9.2e} {:>9.2e} {:>9.2e}  {}{}\n", check.name, to_string(check.shape),
                     check.max_abs, check.max_rel, check.tolerance, check.pass ? "ok" : "FAILED",
                     check.note.empty() ? "" : ": " + check.note);
}

}  // namespace

std::size_t GoldenReport::failed() const {
  return static_cast<std::size_t>(std::ranges::count(checks, false, &GoldenCheck::pass));
}

GoldenCheck& GoldenReport::fail_check(std::string name, std::string note) {
  return checks.emplace_back(GoldenCheck{.name = std::move(name),
                                         .max_abs = kIncomparable,
                                         .max_rel = kIncomparable,
                                         .pass = false,
                                         .note = std::move(note)});
}

void GoldenReport::part(const std::string& name, const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    fail_check(name, error.what());
  } catch (const nlohmann::json::exception& error) {
    fail_check(name, fmt::format("a golden JSON file does not have the layout of its kind ({})", error.what()));
  }
}

GoldenCheck& GoldenReport::compare_json(const std::string& path, const nlohmann::json& golden,
                                        const nlohmann::json& computed, double tolerance, double relative) {
  JsonDifference difference;
  compare(golden, computed, tolerance, relative, difference);
  const double magnitude = difference.magnitude;
  GoldenCheck check{.name = "json." + path,
                    .shape = shape_of(golden),
                    .max_abs = difference.largest,
                    .max_rel = magnitude > 0.0 ? difference.largest / magnitude : difference.largest,
                    .tolerance = tolerance + relative * magnitude,
                    .pass = difference.allowed};
  if (!check.pass) check.note = fmt::format("golden {}, computed {}", excerpt(golden), excerpt(computed));
  return checks.emplace_back(std::move(check));
}

nlohmann::ordered_json to_json(const GoldenReport& report) {
  nlohmann::ordered_json tensors = nlohmann::ordered_json::array();
  for (const GoldenCheck& check : report.checks) {
    tensors.push_back({{"name", check.name},
                       {"shape", check.shape.sizes()},
                       {"max_abs", check.max_abs},
                       {"max_rel", check.max_rel},
                       {"tolerance", check.tolerance},
                       {"pass", check.pass}});
    if (!check.note.empty()) tensors.back()["note"] = check.note;
  }
  return {{"tensors", tensors}, {"passed", report.passed()}, {"failed", report.failed()}, {"skipped", report.skipped}};
}

std::string to_table(const GoldenReport& report) {
  std::string table =
      fmt::format("{:<72} {:<18} {:>9} {:>9} {:>9}\n", "golden", "shape", "max abs", "max rel", "allowed");
  for (const GoldenCheck& check : report.checks) table += line_of(check);
  for (const std::string& name : report.skipped) table += fmt::format("{:<72} skipped: it needs autograd\n", name);
  return table +
         fmt::format("{} passed, {} failed, {} skipped\n", report.passed(), report.failed(), report.skipped.size());
}

}  // namespace capdiff
