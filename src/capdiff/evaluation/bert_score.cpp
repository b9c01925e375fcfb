#include "capdiff/evaluation/bert_score.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_map>
#include <unordered_set>

#include "capdiff/base/error.h"
#include "capdiff/captioners/ladic_config.h"
#include "capdiff/models/cosines.h"

namespace capdiff {
namespace {

/// Candidates whose texts are in memory at once.
constexpr std::size_t kCandidatesAtOnce = 64;

SplitBertConfig config_of(const ModelFolder& folder) {
  folder.config().get_choice("model_type", {"bert"});
  SplitBertConfig config = split_bert_config(folder.config().get_object("text"), {});
  folder.config().reject_unknown_keys();
  return config;
}

Vocabulary vocabulary_of(const ModelFolder& folder, const BertConfig& bert) {
  Vocabulary vocabulary = Vocabulary::load(folder.file("vocab.txt"));
  if (vocabulary.size() != bert.vocab_size)
    fail(ErrorCode::invalid_model, "{}: vocab.txt has {} tokens, but the model is for {}", folder.path().string(),
         vocabulary.size(), bert.vocab_size);
  return vocabulary;
}

ParameterStore parameters_of(const ModelFolder& folder) {
  ParameterStore parameters;
  parameters.add(folder.weights());
  return parameters;
}

std::int64_t layer_of(const BertScoreOptions& options, const BertConfig& bert) {
  const std::int64_t layer = options.layer.value_or(default_bert_score_layer(bert.layers));
  if (layer < 1 || layer > bert.layers)
    fail(ErrorCode::usage, "BERTScore of layer {}: this BERT has the layers 1 to {}", layer, bert.layers);
  return layer;
}

/// Weighted mean of the largest cosine of every row, or nothing where nothing has weight.
std::optional<double> matched(const HostTensor& cosines, std::span<const double> weights) {
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  if (total <= 0.0) return std::nullopt;
  const auto width = static_cast<std::size_t>(cosines.shape()[1]);
  double sum = 0.0;
  for (std::size_t i = 0; i < weights.size(); ++i)
    sum += weights[i] * std::ranges::max(cosines.values<float>().subspan(i * width, width));
  return sum / total;
}

}  // namespace

BertScore bert_score(const WeightedTokens& candidate, const WeightedTokens& reference) {
  const auto precision = matched(cosines(candidate.features, reference.features), candidate.weights);
  const auto recall = matched(cosines(reference.features, candidate.features), reference.weights);
  if (!precision || !recall) return {};
  const double sum = *precision + *recall;
  return {*precision, *recall, sum == 0.0 ? 0.0 : 2.0 * *precision * *recall / sum};
}

std::int64_t default_bert_score_layer(std::int64_t layers) {
  return std::llround(0.75 * static_cast<double>(layers));
}

BertScorer::BertScorer(const std::filesystem::path& folder, Backend& backend, BertScoreOptions options)
    : BertScorer(ModelFolder::open(folder), backend, std::move(options)) {}

BertScorer::BertScorer(const ModelFolder& folder, Backend& backend, BertScoreOptions options)
    : backend_(&backend),
      options_(std::move(options)),
      config_(config_of(folder)),
      layer_(layer_of(options_, config_.bert)),
      tokenizer_(vocabulary_of(folder, config_.bert)),
      parameters_(parameters_of(folder)),
      embeddings_(backend, Scope(parameters_) / "space_encoder" / "embeddings", config_.bert),
      lower_(backend, Scope(parameters_) / "space_encoder", config_.bert, 0, std::min(layer_, config_.encoder_layers)),
      upper_(backend, Scope(parameters_) / "space_decoder", config_.bert, config_.encoder_layers, layer_) {
  if (options_.batch == 0) fail(ErrorCode::usage, "BERTScore: a batch of 0 texts");
}

BertScorer::Ids BertScorer::tokenize(const std::string& text, std::size_t& truncated) const {
  EncodedText encoded = tokenizer_.encode(text, config_.bert.max_position);
  truncated += encoded.truncated ? 1 : 0;
  encoded.ids.resize(static_cast<std::size_t>(std::ranges::count(encoded.attention_mask, 1)));
  return encoded.ids;
}

BertScorer::TokenWeights BertScorer::token_weights(std::span<const std::vector<Ids>> references) const {
  const std::int64_t cls = tokenizer_.vocabulary().cls(), sep = tokenizer_.vocabulary().sep();
  if (!options_.idf) return [=](std::int64_t id) { return id == cls || id == sep ? 0.0 : 1.0; };
  double all = 0.0;
  std::unordered_map<std::int64_t, double> holding;
  for (const std::vector<Ids>& group : references)
    for (const Ids& ids : group) {
      ++all;
      for (const std::int64_t id : std::unordered_set<std::int64_t>(ids.begin(), ids.end())) ++holding[id];
    }
  return [all, holding = std::move(holding)](std::int64_t id) {
    const auto found = holding.find(id);
    return std::log((all + 1.0) / ((found == holding.end() ? 0.0 : found->second) + 1.0));
  };
}

HostTensor BertScorer::features(std::span<const Ids> texts) const {
  const auto longest = static_cast<std::int64_t>(std::ranges::max(texts, {}, &Ids::size).size());
  const auto count = static_cast<std::int64_t>(texts.size());
  HostTensor ids(DType::i64, {count, longest}), mask(DType::f32, {count, longest});
  std::ranges::fill(ids.mutable_values<std::int64_t>(), tokenizer_.vocabulary().pad());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto begin = static_cast<std::ptrdiff_t>(i) * longest;
    std::ranges::copy(texts[i], ids.mutable_values<std::int64_t>().begin() + begin);
    std::fill_n(mask.mutable_values<float>().begin() + begin, texts[i].size(), 1.0f);
  }
  const Value seen = backend_->upload(mask);
  const Value hidden = upper_(lower_(embeddings_(backend_->upload(ids)), seen), seen);
  return backend_->download(backend_->l2_normalize(hidden));
}

std::map<BertScorer::Ids, WeightedTokens> BertScorer::encode(std::vector<Ids> texts,
                                                             const TokenWeights& weights) const {
  std::ranges::sort(texts,
                    [](const Ids& a, const Ids& b) { return a.size() != b.size() ? a.size() < b.size() : a < b; });
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  const std::int64_t width = config_.bert.hidden;
  std::map<Ids, WeightedTokens> encoded;
  for (std::size_t begin = 0; begin < texts.size(); begin += options_.batch) {
    const auto batch = std::span(texts).subspan(begin, std::min(options_.batch, texts.size() - begin));
    const HostTensor all = features(batch);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const auto row = static_cast<std::int64_t>(i), length = static_cast<std::int64_t>(batch[i].size());
      WeightedTokens tokens{all.slice(row, row + 1).reshaped({all.shape()[1], width}).slice(0, length), {}};
      for (const std::int64_t id : batch[i]) tokens.weights.push_back(weights(id));
      encoded.emplace(batch[i], std::move(tokens));
    }
  }
  return encoded;
}

BertScores BertScorer::score(std::span<const std::string> candidates,
                             std::span<const std::vector<std::string>> references) const {
  if (candidates.empty()) fail(ErrorCode::invalid_input, "BERTScore needs captions, and there are none");
  if (candidates.size() != references.size())
    fail(ErrorCode::invalid_input, "BERTScore of {} captions with the references of {}", candidates.size(),
         references.size());
  BertScores scores;
  std::vector<Ids> candidate_ids;
  std::vector<std::vector<Ids>> reference_ids(references.size());
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (references[i].empty()) fail(ErrorCode::invalid_input, "BERTScore: caption {} has no references", i);
    candidate_ids.push_back(tokenize(candidates[i], scores.truncated));
    for (const std::string& text : references[i]) reference_ids[i].push_back(tokenize(text, scores.truncated));
  }
  const TokenWeights weights = token_weights(reference_ids);

  std::vector<double> precision, recall, f1;
  for (std::size_t begin = 0; begin < candidates.size(); begin += kCandidatesAtOnce) {
    const std::size_t end = std::min(begin + kCandidatesAtOnce, candidates.size());
    std::vector<Ids> texts(candidate_ids.begin() + static_cast<std::ptrdiff_t>(begin),
                           candidate_ids.begin() + static_cast<std::ptrdiff_t>(end));
    for (std::size_t i = begin; i < end; ++i)
      texts.insert(texts.end(), reference_ids[i].begin(), reference_ids[i].end());
    const auto encoded = encode(std::move(texts), weights);
    for (std::size_t i = begin; i < end; ++i) {
      constexpr double kNone = -std::numeric_limits<double>::infinity();
      BertScore best{kNone, kNone, kNone};
      for (const Ids& reference : reference_ids[i]) {
        const BertScore pair = bert_score(encoded.at(candidate_ids[i]), encoded.at(reference));
        best = {std::max(best.precision, pair.precision), std::max(best.recall, pair.recall),
                std::max(best.f1, pair.f1)};
      }
      precision.push_back(best.precision);
      recall.push_back(best.recall);
      f1.push_back(best.f1);
    }
    if (options_.on_progress) options_.on_progress(end - begin);
  }
  scores.precision = mean_over_images(std::move(precision));
  scores.recall = mean_over_images(std::move(recall));
  scores.f1 = mean_over_images(std::move(f1));
  return scores;
}

}  // namespace capdiff
