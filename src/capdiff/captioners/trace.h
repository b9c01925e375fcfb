#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace capdiff {

/// A position of a caption while it denoises.
struct TracedPiece {
  std::string text;         ///< the most likely token, special ones included
  double confidence = 0.0;  ///< its probability
  bool taken_back = false;  ///< Back&Refine has just put noise in its place
};

/// One call of the network.
struct TraceStep {
  std::size_t call = 0;  ///< from 0
  std::int64_t t = 0;    ///< noise level that the call started from
  std::string text;      ///< the caption as it would read now
  std::vector<TracedPiece> pieces;
  std::optional<double> error;  ///< mean squared error of x̂0 against the latent of a reference (paper figure 9)
};

/// How a caption came about, call by call.
struct CaptionTrace {
  std::vector<TraceStep> steps;
  bool empty() const { return steps.empty(); }
};

/// A line a step: call, t, error where there is one, and the pieces; words taken back stand in angle brackets.
std::string to_text(const CaptionTrace& trace);
nlohmann::ordered_json to_json(const CaptionTrace& trace);
/// A picture of its own: a row a step, a box a position, darker where the network is more certain, with what
/// Back&Refine took back struck out.
std::string to_svg(const CaptionTrace& trace, const std::string& title);

}  // namespace capdiff
