#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

namespace capdiff {

/// `curves.svg` of a run folder: for each stage of training a panel of losses, that of the validation among them, and
/// one of validation scores, over steps.
class TrainingCurves {
 public:
  /// Takes the values of "losses" and of "validation" of a line of `metrics.jsonl`. Lines of other shapes add nothing.
  void add(const nlohmann::json& line);

  bool empty() const { return panels_.empty(); }

  /// A picture of its own. Its colours suit a light and a dark screen, whichever the viewer says it has. Losses that
  /// span more than a factor of ten get a logarithmic axis, and long curves are drawn as means of neighbouring points.
  std::string svg() const;

 private:
  /// (step, value), in the order in which they were added.
  using Curve = std::vector<std::pair<double, double>>;
  struct Panel {
    std::string stage, group;
    std::map<std::string, Curve> curves;
  };

  class Axis;
  static void append_panel(std::string& svg, const Panel& panel, int top);

  std::vector<Panel> panels_;
};

}  // namespace capdiff
