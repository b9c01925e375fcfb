#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "capdiff/base/philox.h"
#include "capdiff/captioners/token_rules.h"
#include "capdiff/tensor/host_tensor.h"

namespace capdiff {

/// What may follow several texts.
struct NextTokens {
  HostTensor logits;             ///< f32 [rows, V]
  std::vector<double> log_sums;  ///< [rows], log Σ exp(logits)

  std::span<const float> row(std::size_t i) const;
};

/// A language model that writes rows of text side by side: equally many neighbouring rows about every picture.
class TokenWriter {
 public:
  virtual ~TokenWriter() = default;

  /// Begins anew with `prompt`, one row a picture.
  virtual NextTokens begin(std::span<const std::int64_t> prompt) = 0;
  /// Row r becomes what row parents[r] was, and tokens[r] behind it.
  virtual NextTokens next(std::span<const std::int64_t> parents, std::span<const std::int64_t> tokens) = 0;
};

struct WrittenText {
  std::vector<std::int64_t> tokens;  ///< with the prompt, without the end
  double score = 0.0;
};

struct BeamSettings {
  std::int64_t beams = 3;  ///< 1: greedy
  /// The score of a text is Σ log p / length^penalty.
  double length_penalty = 1.0;
};

/// What one step of a beam search did for one picture.
struct BeamStep {
  struct Candidate {
    std::int64_t beam = 0, token = 0;
    double score = 0.0;  ///< Σ log p
  };
  std::size_t picture = 0;
  std::int64_t length = 0;                ///< of the beams before
  std::span<const Candidate> candidates;  ///< the 2 · beams best, the best one first
  std::span<const WrittenText> beams;     ///< that go on; scores are Σ log p
  std::span<const WrittenText> finished;  ///< texts so far, the best one first
};

/// The best text about each picture that beam search finds, as Hugging Face's `generate` does (transformers 4.15, which
/// BLIP was published with). Of the 2 · beams best continuations of a picture's beams, the end closes a text where it
/// is among the first `beams`, and the others fill the beams. A picture is done when it has as many texts as beams and
/// none of them is worse than the best continuation. The repetition penalty acts on log-probabilities, or on logits
/// where there is one beam.
std::vector<WrittenText> beam_search(TokenWriter& writer, std::size_t pictures, std::span<const std::int64_t> prompt,
                                     const TokenRules& rules, const BeamSettings& settings,
                                     const std::function<void(const BeamStep&)>& observe = {});

struct SamplingSettings {
  double top_p = 0.9;
  double temperature = 1.0;
};

/// A token and its probability.
struct TokenProbability {
  std::int64_t token = 0;
  double probability = 0.0;
};

/// The nucleus of a distribution (Holtzman et al., arXiv 1904.09751): its most likely tokens, the most likely one
/// first, up to the one with which their probabilities exceed top_p together; renormalised. Logits of −∞ have no
/// probability.
std::vector<TokenProbability> nucleus(std::span<const float> logits, const SamplingSettings& settings);

/// One text for each of `random`, equally many for every picture, drawn token by token from the nucleus. Each takes one
/// number a token from its own sequence, so what it becomes does not depend on the others. Scores are mean
/// log-probabilities of the tokens behind the prompt, the end among them.
std::vector<WrittenText> sample_texts(TokenWriter& writer, std::size_t pictures, std::span<const std::int64_t> prompt,
                                      const TokenRules& rules, const SamplingSettings& settings,
                                      std::span<RandomStream> random);

}  // namespace capdiff
