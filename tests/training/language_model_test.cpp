#include "capdiff/training/language_model.h"

#include <gtest/gtest.h>

#include <cmath>

#include "capdiff/evaluation/ladic_golden.h"
#include "capdiff/training/latent_statistics.h"
#include "capdiff/training/optimizer.h"
#include "capdiff/training/step_gradients.h"

namespace capdiff::test {
namespace {

class LanguageModelTest : public testing::Test {
 protected:
  LanguageModelTest()
      : golden_(std::filesystem::path(CAPDIFF_SOURCE_DIR) / "tests/data/ladic_tiny"),
        tokenizer_(Vocabulary::load(golden_.folder() / "vocab.txt")),
        captions_(tokenizer_, golden_.config(Profile::paper).length) {
    for (const char* caption : {"a man riding a horse", "two dogs playing", "a white cat and a plate"})
      captions_.add(caption);
  }

  LadicGolden golden_;
  std::unique_ptr<TorchBackend> backend_ = make_torch_backend({});
  WordPieceTokenizer tokenizer_;
  EncodedCaptions captions_;
};

TEST_F(LanguageModelTest, LearnsThreeCaptionsByHeart) {
  ParameterStore parameters;
  parameters.initialise_missing(1);
  backend_->set_trainable([](const std::string&) { return true; });
  LanguageModelObjective objective(*backend_, parameters, golden_.config(Profile::paper).text, captions_,
                                   tokenizer_.vocabulary(), 0.3, 9);
  AdamW optimizer(backend_->trainable_parameters(), {});
  double first = 0.0, last = 0.0;
  for (std::uint64_t step = 0; step < 60; ++step) {
    const std::vector<Sample> samples{{0, 3 * step}, {1, 3 * step + 1}, {2, 3 * step + 2}};
    const StepLosses losses = objective.losses(*objective.prepare(samples));
    optimizer.zero_gradients();
    losses.total.backward();
    optimizer.step(5e-3);
    last = losses.total.item<double>();
    if (step == 0) first = last;
  }
  EXPECT_NEAR(first, std::log(static_cast<double>(tokenizer_.vocabulary().size())), 0.5);
  EXPECT_LT(last, 0.6 * first);
}

/// A loss that is no mean over samples: captions have different numbers of masked words.
TEST_F(LanguageModelTest, AccumulatedBatchesHaveTheGradientsOfOneBatch) {
  backend_->set_trainable([](const std::string&) { return true; });
  ParameterStore parameters;
  parameters.initialise_missing(1);
  LanguageModelObjective objective(*backend_, parameters, golden_.config(Profile::paper).text, captions_,
                                   tokenizer_.vocabulary(), 0.3, 9);
  Ranks alone;
  StepGradients gradients(objective, *backend_, backend_->trainable_parameters(), alone, 9);
  const auto run = [&](std::int64_t parts) {
    for (auto& [name, parameter] : backend_->trainable_parameters()) parameter.mutable_grad().reset();
    BatchLoader loader(objective, SampleOrder(9, objective.size()), 0, share_of_rank(6, parts, alone), 1);
    const double loss = gradients.compute(loader, 0, parts).total.item<double>();
    std::vector<torch::Tensor> flat;
    for (const auto& [name, parameter] : backend_->trainable_parameters())
      if (parameter.grad().defined()) flat.push_back(parameter.grad().reshape(-1));
    return std::pair(loss, torch::cat(flat));
  };
  const auto [loss, expected] = run(1);
  const auto [accumulated_loss, accumulated] = run(3);
  EXPECT_NEAR(accumulated_loss, loss, 1e-6 * loss);
  EXPECT_LT((accumulated - expected).norm().item<double>(), 1e-5 * expected.norm().item<double>());
}

TEST_F(LanguageModelTest, CaptionsWithoutWordsAreLeftOut) {
  EXPECT_EQ(captions_.add(""), -1);
  EXPECT_EQ(captions_.add("  ! "), -1);
  EXPECT_EQ(captions_.size(), 3);
}

TEST_F(LanguageModelTest, StatisticsNormaliseTheWordPositions) {
  const ParameterStore parameters = golden_.parameters();
  const SplitBert text(*backend_, Scope(parameters), Scope(parameters) / "statistics",
                       golden_.config(Profile::paper).text, golden_.ids());
  const torch::NoGradGuard values_only;
  const std::vector<std::int64_t> all{0, 1, 2};
  const LatentStatistics statistics = latent_statistics(*backend_, text, captions_, all);
  ParameterStore own = golden_.parameters();
  own.add("statistics.mean", statistics.mean);
  own.add("statistics.std", statistics.std);
  const SplitBert normalised(*backend_, Scope(own), Scope(own) / "statistics", golden_.config(Profile::paper).text,
                             golden_.ids());
  const TokenBatch batch = captions_.batch(all);
  const HostTensor x0 = backend_->download(normalised.encode(batch)), special = special_positions(batch);
  const auto width = static_cast<std::size_t>(normalised.width());
  for (std::size_t d = 0; d < width; d += 5) {
    double sum = 0.0, squares = 0.0, count = 0.0;
    for (std::size_t row = 0; row < special.values<float>().size(); ++row) {
      const double value = x0.values<float>()[row * width + d];
      if (special.values<float>()[row] != 0.0f) {
        EXPECT_EQ(value, 0.0);
        continue;
      }
      sum += value;
      squares += value * value;
      count += 1.0;
    }
    EXPECT_NEAR(sum / count, 0.0, 1e-4);
    EXPECT_NEAR(squares / (count - 1.0), 1.0, 1e-3);
  }
}

}  // namespace
}  // namespace capdiff::test
