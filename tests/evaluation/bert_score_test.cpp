#include "capdiff/evaluation/bert_score.h"

#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "capdiff/base/files.h"
#include "tests/backends/op_reference.h"
#include "tests/support/clip_reference.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff::test {
namespace {

const std::vector<std::string> kTokens{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".",   "a",   "dog",
                                       "cat",   "sits",  "on",    "the",   "mat",    "##s", "two", "runs"};

/// A small BERT with random weights in a folder, and BERTScore with it in double precision.
class BertScoring : public testing::Test {
 protected:
  BertScoring() {
    config_.vocab_size = static_cast<std::int64_t>(kTokens.size());
    config_.hidden = 12;
    config_.layers = 4;
    config_.heads = 3;
    config_.intermediate = 20;
    config_.max_position = 8;
    const auto backend = make_onednn_backend({});
    ParameterStore wanted;
    wanted.initialise_missing(0);
    const Scope lower = Scope(wanted) / "space_encoder";
    BertEmbeddings(*backend, lower / "embeddings", config_);
    BertLayers(*backend, lower, config_, 0, 3);
    BertLayers(*backend, Scope(wanted) / "space_decoder", config_, 3, 4);
    std::map<std::string, HostTensor> stored;
    std::uint32_t seed = 40;
    for (const auto& [name, shape] : wanted.used()) {
      const bool bias = name.ends_with("bias"), table = name.ends_with("embeddings.weight");
      const double size = bias ? 0.1 : table ? 2.0 : 0.5;
      Array values = random(shape, seed++, -size, size);
      if (name.ends_with("LayerNorm.weight"))
        for (double& value : values.values) value = static_cast<float>(value + 1.0);
      stored.emplace(name, parameter(name, values).value);
      tensors_.emplace(name, std::move(values));
    }
    write_safetensors(folder_.path() / "model.safetensors", stored);
    std::string vocabulary;
    for (const std::string& token : kTokens) vocabulary += token + "\n";
    folder_.write("vocab.txt", vocabulary);
    folder_.write("config.json", nlohmann::json{{"model_type", "bert"},
                                                {"text",
                                                 {{"vocab_size", config_.vocab_size},
                                                  {"hidden", config_.hidden},
                                                  {"heads", config_.heads},
                                                  {"intermediate", config_.intermediate},
                                                  {"max_position", config_.max_position},
                                                  {"encoder_layers", 3},
                                                  {"decoder_layers", 1}}}}
                                     .dump());
  }

  BertScores score(BertScoreOptions options = {}) const {
    return BertScorer(folder_.path(), *backend_, std::move(options)).score(candidates_, references_);
  }

  Array linear(const std::string& name, const Array& x) const {
    return reference::linear(x, tensors_.at(name + ".weight"), tensors_.at(name + ".bias"));
  }

  Array norm_of_sum(const std::string& name, const Array& x, const Array& y) const {
    Array sum = x;
    for (std::size_t i = 0; i < sum.values.size(); ++i) sum.values[i] += y.values[i];
    return reference::layer_norm(sum, tensors_.at(name + ".weight"), tensors_.at(name + ".bias"), config_.eps);
  }

  /// Unit rows [L, hidden] after `layers` layers, of a text alone.
  Array hidden(const std::vector<std::int64_t>& ids, std::int64_t layers) const {
    const std::string embeddings = "space_encoder.embeddings.";
    const auto length = static_cast<std::int64_t>(ids.size());
    Array x = zeros({1, length, config_.hidden});
    for (std::int64_t l = 0; l < length; ++l)
      for (std::int64_t c = 0; c < config_.hidden; ++c)
        x[l * config_.hidden + c] =
            tensors_.at(embeddings + "word_embeddings.weight")[ids[static_cast<std::size_t>(l)] * config_.hidden + c] +
            tensors_.at(embeddings + "position_embeddings.weight")[l * config_.hidden + c] +
            tensors_.at(embeddings + "token_type_embeddings.weight")[c];
    x = norm_of_sum(embeddings + "LayerNorm", x, zeros(x.shape));
    for (std::int64_t i = 0; i < layers; ++i) {
      const std::string layer = (i < 3 ? "space_encoder" : "space_decoder") + (".encoder.layer." + std::to_string(i));
      const std::string self = layer + ".attention.self.";
      const Array context = reference::attention(linear(self + "query", x), linear(self + "key", x),
                                                 linear(self + "value", x), config_.heads, {}, false);
      x = norm_of_sum(layer + ".attention.output.LayerNorm", linear(layer + ".attention.output.dense", context), x);
      const Array inner = reference::map(linear(layer + ".intermediate.dense", x),
                                         [](double v) { return reference::activation(v, Activation::gelu); });
      x = norm_of_sum(layer + ".output.LayerNorm", linear(layer + ".output.dense", inner), x);
    }
    x.shape = {length, config_.hidden};
    return unit_rows(x);
  }

  std::vector<std::int64_t> ids(const std::string& text) const {
    std::vector<std::int64_t> ids = WordPieceTokenizer(Vocabulary(kTokens, "")).tokenize_to_ids(text);
    ids.resize(std::min<std::size_t>(ids.size(), 6));
    ids.insert(ids.begin(), 2);
    ids.push_back(3);
    return ids;
  }

  /// −log of the share of references with a token, or 1 for words.
  double weight(std::int64_t id, bool idf) const {
    if (!idf) return id == 2 || id == 3 ? 0.0 : 1.0;
    double all = 1.0, holding = 1.0;
    for (const auto& group : references_)
      for (const std::string& reference : group) {
        const std::vector<std::int64_t> tokens = ids(reference);
        all += 1.0;
        if (std::ranges::find(tokens, id) != tokens.end()) holding += 1.0;
      }
    return std::log(all / holding);
  }

  /// Precision of `a` against `b`, which is the recall of `b` against `a`.
  double matched(const std::string& a, const std::string& b, std::int64_t layers, bool idf) const {
    const std::vector<std::int64_t> tokens = ids(a);
    const Array x = hidden(tokens, layers), y = hidden(ids(b), layers);
    double sum = 0.0, total = 0.0;
    for (std::int64_t i = 0; i < x.shape.rows(); ++i) {
      double best = -1.0;
      for (std::int64_t j = 0; j < y.shape.rows(); ++j) best = std::max(best, dot(x, i, y, j));
      const double w = weight(tokens[static_cast<std::size_t>(i)], idf);
      sum += w * best;
      total += w;
    }
    return sum / total;
  }

  void expect_formulas(const BertScores& scores, std::int64_t layers, bool idf) const {
    ASSERT_EQ(scores.f1.per_image.size(), candidates_.size());
    double total = 0.0;
    for (std::size_t i = 0; i < candidates_.size(); ++i) {
      double precision = -1.0, recall = -1.0, f1 = -1.0;
      for (const std::string& reference : references_[i]) {
        const double p = matched(candidates_[i], reference, layers, idf);
        const double r = matched(reference, candidates_[i], layers, idf);
        precision = std::max(precision, p);
        recall = std::max(recall, r);
        f1 = std::max(f1, 2.0 * p * r / (p + r));
      }
      EXPECT_NEAR(scores.precision.per_image[i], precision, 1e-5) << i;
      EXPECT_NEAR(scores.recall.per_image[i], recall, 1e-5) << i;
      EXPECT_NEAR(scores.f1.per_image[i], f1, 1e-5) << i;
      total += f1;
    }
    EXPECT_NEAR(scores.f1.corpus, total / static_cast<double>(candidates_.size()), 1e-5);
  }

  TemporaryFolder folder_;
  BertConfig config_;
  std::map<std::string, Array> tensors_;
  std::unique_ptr<Backend> backend_ = make_onednn_backend({});
  std::vector<std::string> candidates_{"a dog runs", "the cat sits on", "two cats"};
  std::vector<std::vector<std::string>> references_{
      {"the dog runs on the mat", "a dog"}, {"a cat sits on the mat"}, {"the cats", "two dogs", "cat"}};
};

TEST_F(BertScoring, FollowsTheFormulas) {
  expect_formulas(score(), 3, false);
}

TEST_F(BertScoring, AnyLayerCanBeCompared) {
  for (const std::int64_t layer : {1, 2, 4}) {
    SCOPED_TRACE(layer);
    expect_formulas(score({.layer = layer}), layer, false);
  }
  expect_error(ErrorCode::usage, "layer 0", [&] { score({.layer = 0}); });
  expect_error(ErrorCode::usage, "layer 5", [&] { score({.layer = 5}); });
}

TEST_F(BertScoring, WeighsByInverseDocumentFrequency) {
  expect_formulas(score({.idf = true}), 3, true);
  EXPECT_GT(std::abs(score({.idf = true}).f1.corpus - score().f1.corpus), 1e-4);
}

TEST_F(BertScoring, BatchesChangeNothing) {
  std::size_t done = 0;
  const BertScores whole = score(), parts = score({.batch = 2, .on_progress = [&](std::size_t n) { done += n; }});
  for (std::size_t i = 0; i < candidates_.size(); ++i)
    EXPECT_NEAR(whole.f1.per_image[i], parts.f1.per_image[i], 1e-6) << i;
  EXPECT_EQ(done, candidates_.size());
}

TEST_F(BertScoring, TheSameTextHasScoreOne) {
  references_[0] = {"x", "A dog runs"};
  const BertScores scores = score();
  EXPECT_NEAR(scores.precision.per_image[0], 1.0, 1e-6);
  EXPECT_NEAR(scores.recall.per_image[0], 1.0, 1e-6);
  EXPECT_NEAR(scores.f1.per_image[0], 1.0, 1e-6);
  EXPECT_LT(scores.f1.per_image[1], 0.999);
}

TEST_F(BertScoring, TextsWithoutWordsHaveScoreZero) {
  candidates_[0] = " ";
  references_[1] = {""};
  const BertScores scores = score();
  for (const std::size_t i : {0u, 1u}) {
    EXPECT_EQ(scores.precision.per_image[i], 0.0);
    EXPECT_EQ(scores.recall.per_image[i], 0.0);
    EXPECT_EQ(scores.f1.per_image[i], 0.0);
  }
  EXPECT_GT(scores.f1.per_image[2], 0.0);
}

TEST_F(BertScoring, CutsAndCountsTextsThatAreTooLong) {
  EXPECT_EQ(score().truncated, 0u);
  candidates_[0] = "a dog runs on the mat on the mat";
  references_[2][0] = "the the the the the the the";
  const BertScores scores = score();
  EXPECT_EQ(scores.truncated, 2u);
  expect_formulas(scores, 3, false);
}

TEST_F(BertScoring, RefusesWhatDoesNotFit) {
  references_.pop_back();
  expect_error(ErrorCode::invalid_input, "3 captions with the references of 2", [&] { score(); });
  references_.emplace_back();
  expect_error(ErrorCode::invalid_input, "caption 2", [&] { score(); });
  candidates_.clear();
  expect_error(ErrorCode::invalid_input, "none", [&] { score(); });
  folder_.write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n.\n");
  expect_error(ErrorCode::invalid_model, "6 tokens, but the model is for 16", [&] { score(); });
  std::filesystem::remove(folder_.path() / "vocab.txt");
  expect_error(ErrorCode::not_found, "vocab.txt", [&] { score(); });
  folder_.write("config.json", R"({"model_type": "clip"})");
  expect_error(ErrorCode::invalid_model, "model_type", [&] { score(); });
}

TEST(BertScoreFormulas, TokensWithoutWeightMayBeMatched) {
  const WeightedTokens one{HostTensor::of({2, 2}, {1, 0, 0, 1}), {0.0, 1.0}};
  const WeightedTokens other{HostTensor::of({3, 2}, {0, 1, 1, 0, 0.6f, 0.8f}), {0.0, 1.0, 3.0}};
  const BertScore score = bert_score(one, other);
  EXPECT_DOUBLE_EQ(score.precision, 1.0);
  EXPECT_NEAR(score.recall, (1.0 * 1.0 + 3.0 * 0.8) / 4.0, 1e-7);
  EXPECT_NEAR(score.f1, 2.0 * 0.85 / 1.85, 1e-7);
}

TEST(BertScoreFormulas, TheDefaultLayerIsThatOfTheAuthors) {
  EXPECT_EQ(default_bert_score_layer(12), 9);
  EXPECT_EQ(default_bert_score_layer(24), 18);
  EXPECT_EQ(default_bert_score_layer(1), 1);
  EXPECT_EQ(default_bert_score_layer(2), 2);
}

}  // namespace
}  // namespace capdiff::test
