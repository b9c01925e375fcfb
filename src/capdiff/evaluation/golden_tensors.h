#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "capdiff/evaluation/golden_report.h"
#include "capdiff/formats/safetensors.h"
#include "capdiff/nn/parameters.h"

namespace capdiff {

/// How far a tensor may be from its golden: |computed − golden| ≤ absolute + relative · |golden| at every element.
struct Tolerance {
  double absolute = 0.0, relative = 0.0;
};

/// The golden tensors of a safetensors file, ticked off one by one, so that none is passed over. Results go to a
/// report.
class GoldenTensors {
 public:
  /// `tolerance` is asked for tensors of floating-point numbers; all others must be equal. `label` is put before their
  /// names in the report.
  GoldenTensors(SafetensorsFile file, std::function<Tolerance(const std::string& name)> tolerance, GoldenReport& report,
                std::string label = "");

  const SafetensorsFile& file() const { return file_; }
  GoldenReport& report() { return *report_; }
  bool contains(std::string_view name) const { return file_.contains(name); }
  /// All names that begin with `prefix`.
  std::vector<std::string> names(std::string_view prefix) const;

  /// A tensor that the computation starts from. It is not listed.
  HostTensor input(const std::string& name);
  /// The same where it can also be computed, by an independent part of the program: listed only where it differs.
  HostTensor input(const std::string& name, const HostTensor& computed);
  /// Compares a result; where the file does not have it, the check fails. Axes of size 1 do not matter.
  GoldenCheck& compare(const std::string& name, const HostTensor& computed);
  /// The same for a result that files may leave out.
  void compare_if_stored(const std::string& name, const HostTensor& computed);
  /// All tensors that begin with `prefix` are skipped.
  void skip(std::string_view prefix);
  /// Everything that was neither computed, nor an input, nor skipped fails as unknown.
  void finish();

 private:
  SafetensorsFile file_;
  std::function<Tolerance(const std::string&)> tolerance_;
  GoldenReport* report_;
  std::string label_;
  std::set<std::string, std::less<>> seen_;
};

/// The largest finite |element| of a tensor of floating-point numbers; 0 where there is none.
double largest_magnitude(const HostTensor& tensor);

/// `state_dict.safetensors` of a folder of goldens, or `state_dict.pt`.
ParameterStore state_dict(const std::filesystem::path& folder);

/// One tensor [n, …] of n tensors […].
HostTensor stacked(const std::vector<HostTensor>& tensors);

}  // namespace capdiff
