#include "capdiff/captioners/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "capdiff/text/html.h"
#include "capdiff/text/unicode.h"

namespace capdiff {
namespace {

constexpr int kRow = 30, kLeft = 150, kTop = 64, kGap = 4, kCharacter = 8, kMinWidth = 30;

/// Special tokens are shown by a sign of their own size: a caption has many of them.
std::string shown(const std::string& piece) {
  if (piece == "[CLS]" || piece == "[SEP]" || piece == "[PAD]") return "·";
  return piece;
}

/// White at 0, a deep blue at 1.
std::string shade(double confidence) {
  const auto mix = [confidence](int light, int deep) {
    return static_cast<int>(light + (deep - light) * std::clamp(confidence, 0.0, 1.0));
  };
  return fmt::format("#{:02x}{:02x}{:02x}", mix(250, 38), mix(250, 98), mix(252, 168));
}

}  // namespace

std::string to_text(const CaptionTrace& trace) {
  std::string text;
  for (const TraceStep& step : trace.steps) {
    text += fmt::format("{:>3}  t={:<4}", step.call + 1, step.t);
    if (step.error) text += fmt::format(" mse={:.4f}", *step.error);
    for (const TracedPiece& piece : step.pieces) {
      const std::string word = shown(piece.text);
      text += piece.taken_back ? fmt::format(" <{}>", word)
              : word == "·"    ? " ·"
                               : fmt::format(" {}:{:.2f}", word, piece.confidence);
    }
    text += "\n";
  }
  return text;
}

nlohmann::ordered_json to_json(const CaptionTrace& trace) {
  nlohmann::ordered_json steps = nlohmann::ordered_json::array();
  for (const TraceStep& step : trace.steps) {
    nlohmann::ordered_json pieces = nlohmann::ordered_json::array();
    for (const TracedPiece& piece : step.pieces)
      pieces.push_back({{"text", piece.text}, {"confidence", piece.confidence}, {"taken_back", piece.taken_back}});
    nlohmann::ordered_json object{{"call", step.call}, {"t", step.t}, {"text", step.text}, {"pieces", pieces}};
    if (step.error) object["error"] = *step.error;
    steps.push_back(std::move(object));
  }
  return steps;
}

std::string to_svg(const CaptionTrace& trace, const std::string& title) {
  // A column is as wide as the longest piece that ever stands in it.
  std::vector<int> widths;
  for (const TraceStep& step : trace.steps) {
    widths.resize(std::max(widths.size(), step.pieces.size()), kMinWidth);
    for (std::size_t i = 0; i < step.pieces.size(); ++i) {
      const auto characters = static_cast<int>(decode_utf8(shown(step.pieces[i].text)).size());
      widths[i] = std::max(widths[i], characters * kCharacter + 14);
    }
  }
  int width = kLeft;
  for (const int column : widths) width += column + kGap;
  width = std::max(width + 20, 420);
  const int height = kTop + kRow * static_cast<int>(trace.steps.size()) + 56;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
      "font-family=\"DejaVu Sans, Helvetica, Arial, sans-serif\" font-size=\"13\">\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
      "<text x=\"20\" y=\"30\" font-size=\"17\" fill=\"#222\">{2}</text>\n"
      "<text x=\"20\" y=\"{3}\" fill=\"#777\">t</text>\n",
      width, height, escape_html(title), kTop - 10);
  int y = kTop;
  for (const TraceStep& step : trace.steps) {
    svg += fmt::format("<text x=\"20\" y=\"{}\" fill=\"#777\">{}{}</text>\n", y + 17, step.t,
                       step.error ? fmt::format("  mse {:.3f}", *step.error) : "");
    int x = kLeft;
    for (std::size_t i = 0; i < step.pieces.size(); ++i) {
      const TracedPiece& piece = step.pieces[i];
      svg += fmt::format(
          "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"5\" fill=\"{}\"{}/>\n"
          "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"{}\"{}>{}</text>\n",
          x, y, widths[i], kRow - 6, piece.taken_back ? "#fff" : shade(piece.confidence),
          piece.taken_back ? " stroke=\"#c0392b\" stroke-dasharray=\"4 3\"" : "", x + widths[i] / 2, y + 17,
          piece.taken_back          ? "#c0392b"
          : piece.confidence > 0.55 ? "white"
                                    : "#222",
          piece.taken_back ? " text-decoration=\"line-through\"" : "", escape_html(shown(piece.text)));
      x += widths[i] + kGap;
    }
    y += kRow;
  }
  svg += fmt::format(
      "<text x=\"20\" y=\"{}\" font-size=\"12\" fill=\"#777\">Darker: more certain. "
      "Red and struck out: taken back by Back&amp;Refine.</text>\n</svg>\n",
      y + 30);
  return svg;
}

}  // namespace capdiff
