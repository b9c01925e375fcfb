#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "capdiff/formats/model_folder.h"
#include "capdiff/metrics/scored_image.h"
#include "capdiff/models/split_bert.h"
#include "capdiff/text/wordpiece.h"

namespace capdiff {

/// The tokens of a text, [CLS] and [SEP] among them, as BERTScore compares them.
struct WeightedTokens {
  HostTensor features;          ///< f32 [L, D], rows of length 1
  std::vector<double> weights;  ///< [L], not negative
};

struct BertScore {
  double precision = 0.0, recall = 0.0, f1 = 0.0;
};

/// BERTScore of a pair (Zhang et al. 2020, section 3): precision is the weighted mean, over the candidate's tokens, of
/// each one's largest cosine with a token of the reference; recall that over the reference's tokens; F1 their harmonic
/// mean. Tokens of weight 0 count for nothing themselves, but may be what others are matched with. All three are 0
/// where the weights of one side sum to 0, or where precision and recall do.
BertScore bert_score(const WeightedTokens& candidate, const WeightedTokens& reference);

/// The layer that is compared by default: the nearest to three quarters of the depth. 9 of 12 and 18 of 24 are those
/// that the authors chose for BERT.
std::int64_t default_bert_score_layer(std::int64_t layers);

struct BertScoreOptions {
  std::optional<std::int64_t> layer = {};  ///< whose output is compared, from 1
  /// Tokens weigh −log of the share of references that hold them, log((N + 1) / (n + 1)) of n in N, instead of 1.
  bool idf = false;
  std::size_t batch = 64;  ///< texts that are encoded at once
  /// Told how many candidates were done since the last call.
  std::function<void(std::size_t)> on_progress = {};
};

struct BertScores {
  MetricResult precision, recall, f1;
  std::size_t truncated = 0;  ///< candidates and references longer than BERT's positions, of which the beginning counts
};

/// Scores candidates by how well BERT matches their words with those of references. Values are raw, without the
/// authors' baselines. [CLS] and [SEP] weigh nothing, and a text without words has the score 0, as in their program.
/// Texts of a batch do not see each other's padding, so values do not depend on what else is scored.
class BertScorer {
 public:
  /// `folder` is a model folder that `capdiff convert --from bert` wrote, with its vocabulary. Throws as
  /// `ModelFolder::open`, and Error(usage) for a layer that BERT does not have. The backend must outlive the scorer.
  BertScorer(const std::filesystem::path& folder, Backend& backend, BertScoreOptions options = {});

  std::int64_t layer() const { return layer_; }

  /// Scores candidate i against its references, at least one. With several, each of the three values is the best that
  /// it has with one of them. Corpus values are means over candidates. Throws `Error(invalid_input)` where there are no
  /// candidates, or not as many as references.
  BertScores score(std::span<const std::string> candidates, std::span<const std::vector<std::string>> references) const;

 private:
  using Ids = std::vector<std::int64_t>;
  using TokenWeights = std::function<double(std::int64_t id)>;

  BertScorer(const ModelFolder& folder, Backend& backend, BertScoreOptions options);
  Ids tokenize(const std::string& text, std::size_t& truncated) const;
  TokenWeights token_weights(std::span<const std::vector<Ids>> references) const;
  /// What every text is compared by.
  std::map<Ids, WeightedTokens> encode(std::vector<Ids> texts, const TokenWeights& weights) const;
  /// Features [B, L, D] of texts, padded to the longest.
  HostTensor features(std::span<const Ids> texts) const;

  Backend* backend_;
  BertScoreOptions options_;
  SplitBertConfig config_;
  std::int64_t layer_;
  WordPieceTokenizer tokenizer_;
  ParameterStore parameters_;
  BertEmbeddings embeddings_;
  BertLayers lower_, upper_;
};

}  // namespace capdiff
