#include "capdiff/captioners/token_rules.h"

#include <cmath>
#include <limits>
#include <set>

namespace capdiff {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

}  // namespace

void forbid_tokens(std::span<float> logits, std::span<const std::int64_t> tokens, const TokenRules& rules) {
  if (static_cast<std::int64_t>(tokens.size()) < rules.min_length) logits[static_cast<std::size_t>(rules.end)] = kNever;
  if (!rules.words) return;
  for (std::size_t id = 0; id < logits.size(); ++id)
    if (!(*rules.words)[id]) logits[id] = kNever;
  logits[static_cast<std::size_t>(tokens.back())] = kNever;
}

void penalise_repetition(std::span<float> logits, std::span<const std::int64_t> tokens, double penalty, double origin) {
  if (penalty == 1.0) return;
  for (const std::int64_t token : std::set<std::int64_t>(tokens.begin(), tokens.end())) {
    float& logit = logits[static_cast<std::size_t>(token)];
    const double above = static_cast<double>(logit) - origin;
    logit = static_cast<float>(origin + (above > 0.0 ? above / penalty : above * penalty));
  }
}

std::vector<float> ruled_logits(std::span<const float> logits, std::span<const std::int64_t> tokens,
                                const TokenRules& rules) {
  std::vector<float> ruled(logits.begin(), logits.end());
  penalise_repetition(ruled, tokens, rules.repetition_penalty, 0.0);
  forbid_tokens(ruled, tokens, rules);
  return ruled;
}

}  // namespace capdiff
