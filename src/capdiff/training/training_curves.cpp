#include "capdiff/training/training_curves.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>

#include "capdiff/text/html.h"

namespace capdiff {
namespace {

// In pixels.
constexpr int kWidth = 830, kPanelHeight = 230, kPlotLeft = 64, kPlotWidth = 530, kPlotTop = 38, kPlotHeight = 140;
constexpr std::size_t kMaxPoints = 300;  // drawn of one curve
constexpr std::size_t kFewPoints = 40;   // of which each is marked

constexpr std::array kColours{"#3b86c8", "#d97d2b", "#3a9d5d", "#c2528b", "#8a6fd1", "#8a8f98"};

constexpr std::string_view kHead =
    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
    "font-family=\"DejaVu Sans, Helvetica, Arial, sans-serif\" font-size=\"12\">\n"
    "<style>.paper{{fill:#fff}}text{{fill:#555}}.title{{fill:#222}}.grid{{stroke:#e4e4e4}}.axis{{stroke:#999}}"
    "@media (prefers-color-scheme:dark){{.paper{{fill:#16181d}}text{{fill:#a9afb8}}.title{{fill:#eee}}"
    ".grid{{stroke:#2c3038}}.axis{{stroke:#6b7280}}}}</style>\n"
    "<rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n";

/// 12000 as "12k"; four digits.
std::string short_number(double value) {
  if (std::abs(value) >= 1e6) return fmt::format("{:.4g}M", value / 1e6);
  if (std::abs(value) >= 1e4) return fmt::format("{:.4g}k", value / 1e3);
  return fmt::format("{:.4g}", value);
}

/// Multiples of 1, 2 or 5 times a power of ten, about `count` of them, in [low, high].
std::vector<double> even_ticks(double low, double high, int count) {
  const double rough = (high - low) / count;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  const double step = power * (rough <= power ? 1 : rough <= 2 * power ? 2 : rough <= 5 * power ? 5 : 10);
  std::vector<double> ticks;
  for (double i = std::ceil(low / step - 1e-9) + 0.0; i * step <= high + 1e-9 * step; ++i) ticks.push_back(i * step);
  return ticks;
}

/// Powers of ten in [low, high], and where these are few, two and five times them.
std::vector<double> logarithmic_ticks(double low, double high) {
  const bool few = high / low < 1e3;
  std::vector<double> ticks;
  for (double power = std::pow(10.0, std::floor(std::log10(low))); power <= high; power *= 10) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double tick = factor * power;
      if ((few || factor == 1.0) && tick >= low && tick <= high) ticks.push_back(tick);
    }
  }
  return ticks;
}

}  // namespace

/// The vertical axis of a panel.
class TrainingCurves::Axis {
 public:
  explicit Axis(const Panel& panel) {
    low_ = std::numeric_limits<double>::infinity();
    high_ = -low_;
    for (const auto& [name, curve] : panel.curves) {
      for (const auto& [step, value] : curve) {
        low_ = std::min(low_, value);
        high_ = std::max(high_, value);
        last_ = std::max(last_, step);
      }
    }
    logarithmic_ = panel.group == "losses" && low_ > 0 && high_ > 10 * low_;
    if (!logarithmic_) {
      const double margin = high_ > low_ ? 0.05 * (high_ - low_) : std::max(1e-6, 0.1 * std::abs(high_));
      low_ = low_ >= 0 ? std::max(0.0, low_ - margin) : low_ - margin;
      high_ += margin;
    }
  }

  double y(double value) const {
    const double share =
        logarithmic_ ? std::log(value / low_) / std::log(high_ / low_) : (value - low_) / (high_ - low_);
    return kPlotHeight * (1 - share);
  }
  double x(double step) const { return kPlotWidth * step / last_; }
  std::vector<double> ticks_y() const {
    return logarithmic_ ? logarithmic_ticks(low_, high_) : even_ticks(low_, high_, 4);
  }
  std::vector<double> ticks_x() const { return even_ticks(0, last_, 6); }
  bool logarithmic() const { return logarithmic_; }

 private:
  double low_ = 0, high_ = 0, last_ = 1;
  bool logarithmic_ = false;
};

void TrainingCurves::add(const nlohmann::json& line) {
  if (!line.is_object() || !line.contains("step") || !line["step"].is_number()) return;
  const double step = line["step"];
  const std::string stage = line.contains("stage") && line["stage"].is_string() ? line["stage"] : "";
  for (const char* group : {"losses", "validation"}) {
    if (!line.contains(group) || !line[group].is_object()) continue;
    for (const auto& [name, value] : line[group].items()) {
      if (!value.is_number() || !std::isfinite(value.get<double>())) continue;
      // A loss is compared with the others; scores are of another size.
      const bool loss = name == "loss";
      const std::string place = loss ? "losses" : group;
      auto panel = std::ranges::find_if(panels_, [&](const Panel& p) { return p.stage == stage && p.group == place; });
      if (panel == panels_.end()) panel = panels_.insert(panels_.end(), {stage, place, {}});
      panel->curves[loss && place != group ? "validation loss" : name].emplace_back(step, value.get<double>());
    }
  }
}

void TrainingCurves::append_panel(std::string& svg, const Panel& panel, int top) {
  const Axis axis(panel);
  const auto out = std::back_inserter(svg);
  fmt::format_to(out, "<text class=\"title\" x=\"{}\" y=\"{}\" font-size=\"14\">{}: {}{}</text>\n", kPlotLeft, top + 24,
                 escape_html(panel.stage), panel.group, axis.logarithmic() ? ", logarithmic" : "");
  fmt::format_to(out, "<g transform=\"translate({} {})\">\n", kPlotLeft, top + kPlotTop);
  for (const double tick : axis.ticks_y()) {
    fmt::format_to(out,
                   "<line class=\"grid\" x2=\"{0}\" y1=\"{1:.1f}\" y2=\"{1:.1f}\"/>"
                   "<text x=\"-8\" y=\"{2:.1f}\" text-anchor=\"end\">{3}</text>\n",
                   kPlotWidth, axis.y(tick), axis.y(tick) + 4, short_number(tick));
  }
  fmt::format_to(out, "<line class=\"axis\" x2=\"{0}\" y1=\"{1}\" y2=\"{1}\"/>\n", kPlotWidth, kPlotHeight);
  for (const double tick : axis.ticks_x()) {
    fmt::format_to(out,
                   "<line class=\"axis\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\"/>"
                   "<text x=\"{0:.1f}\" y=\"{3}\" text-anchor=\"middle\">{4}</text>\n",
                   axis.x(tick), kPlotHeight, kPlotHeight + 4, kPlotHeight + 18, short_number(tick));
  }
  fmt::format_to(out, "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">step</text>\n", kPlotWidth / 2, kPlotHeight + 36);

  std::size_t number = 0;
  for (const auto& [name, curve] : panel.curves) {
    const char* colour = kColours[number % kColours.size()];
    const std::size_t each = (curve.size() + kMaxPoints - 1) / kMaxPoints;
    std::string points, marks;
    for (std::size_t begin = 0; begin < curve.size(); begin += each) {
      const std::size_t end = std::min(begin + each, curve.size());
      double step = 0, value = 0;
      for (std::size_t i = begin; i < end; ++i) {
        step += curve[i].first / static_cast<double>(end - begin);
        value += curve[i].second / static_cast<double>(end - begin);
      }
      fmt::format_to(std::back_inserter(points), " {:.1f},{:.1f}", axis.x(step), axis.y(value));
      if (curve.size() <= kFewPoints) {
        fmt::format_to(std::back_inserter(marks), "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.5\" fill=\"{}\"/>",
                       axis.x(step), axis.y(value), colour);
      }
    }
    fmt::format_to(out, "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\"/>{}\n",
                   std::string_view(points).substr(1), colour, marks);
    const int y = 8 + 18 * static_cast<int>(number);
    fmt::format_to(out,
                   "<line x1=\"{0}\" x2=\"{1}\" y1=\"{2}\" y2=\"{2}\" stroke=\"{3}\" stroke-width=\"3\"/>"
                   "<text x=\"{4}\" y=\"{5}\">{6} {7}</text>\n",
                   kPlotWidth + 14, kPlotWidth + 30, y, colour, kPlotWidth + 36, y + 4, escape_html(name),
                   short_number(curve.back().second));
    ++number;
  }
  svg += "</g>\n";
}

std::string TrainingCurves::svg() const {
  const int height = kPanelHeight * static_cast<int>(panels_.size()) + 10;
  std::string svg = fmt::format(kHead, kWidth, height);
  int top = 0;
  for (const Panel& panel : panels_) {
    append_panel(svg, panel, top);
    top += kPanelHeight;
  }
  return svg + "</svg>\n";
}

}  // namespace capdiff
