#include "capdiff/training/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>

#include "capdiff/base/interruption.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"
#include "tests/training/regression.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;
using test::Regression;

class TrainerTest : public ::testing::Test {
 protected:
  TrainerTest() {
    options_.batch = 4;
    options_.learning_rate = 0.05;
    options_.warmup = 0.1;
    options_.gradient_clip = 5;
    options_.ema = 0.9;
    options_.log_every = 10;
    options_.checkpoint_every = 10;
    options_.steps = 40;
  }

  struct Outcome {
    TrainingResult result;
    std::map<std::string, std::vector<float>> weights;
  };

  TrainerContext context(const std::string& run) const {
    fs::create_directories(folder_.path() / run);
    return {.stage = "line",
            .checkpoints = folder_.path() / run / "checkpoints",
            .metrics = folder_.path() / run / "metrics.jsonl",
            .seed = 9};
  }

  /// Trains from zero weights in a fresh backend, in the folder `run`.
  Outcome train_in(const std::string& run, const std::function<void(Regression&, TrainerContext&)>& prepare = {}) {
    const auto backend = make_torch_backend({.threads = 1});
    backend->set_trainable([](const std::string&) { return true; });
    Regression objective(*backend);
    TrainerContext train_context = context(run);
    if (prepare) prepare(objective, train_context);
    Outcome outcome{train(objective, *backend, options_, train_context), {}};
    for (const auto& [name, tensor] : backend->state()) {
      outcome.weights[name].assign(tensor.values<float>().begin(), tensor.values<float>().end());
    }
    return outcome;
  }

  std::vector<nlohmann::json> metrics(const std::string& run) const {
    std::ifstream file(folder_.path() / run / "metrics.jsonl");
    std::vector<nlohmann::json> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
  }

  test::TemporaryFolder folder_;
  OptimisationOptions options_;
};

TEST_F(TrainerTest, LossFalls) {
  options_.steps = 300;
  const Outcome outcome = train_in("run");
  const auto lines = metrics("run");
  ASSERT_EQ(lines.size(), 30u);
  EXPECT_LT(lines.back()["losses"]["loss"].get<double>(), 0.3 * lines.front()["losses"]["loss"].get<double>());
  EXPECT_EQ(lines.back()["losses"]["loss"], lines.back()["losses"]["squares"]);
  EXPECT_EQ(lines.back()["stage"], "line");
  EXPECT_EQ(lines.back()["step"], 300);
  EXPECT_EQ(lines.back()["epoch"], 24.0);
  EXPECT_EQ(outcome.result.steps, 300);
  EXPECT_EQ(outcome.result.losses.at("loss"), lines.back()["losses"]["loss"].get<double>());
  EXPECT_NEAR(outcome.weights.at("line.bias")[0], 0.5f, 0.2f);
}

TEST_F(TrainerTest, StoppedAndResumedIsTheSameToTheLastBit) {
  const Outcome straight = train_in("straight");
  // Ctrl-C in the middle of step 18, between two regular checkpoints.
  const auto stop = [calls = 0](Regression& objective, TrainerContext&) mutable {
    objective.on_losses = [&calls] {
      if (++calls == 18) std::raise(SIGINT);
    };
  };
  try {
    train_in("stopped", stop);
    FAIL() << "was not interrupted";
  } catch (const Interrupted& interrupted) {
    EXPECT_EQ(interrupted.signal(), SIGINT);
    EXPECT_THAT(interrupted.what(), ::testing::HasSubstr("18 of 40"));
  }
  const Outcome resumed = train_in("stopped");
  EXPECT_EQ(resumed.result.steps, 40);
  EXPECT_EQ(resumed.weights, straight.weights);
}

TEST_F(TrainerTest, AKilledRunGoesOnFromItsLastCheckpoint) {
  const Outcome straight = train_in("straight");
  struct Killed {};
  const auto kill = [calls = 0](Regression& objective, TrainerContext&) mutable {
    objective.on_losses = [&calls] {
      if (++calls == 27) throw Killed();
    };
  };
  EXPECT_THROW(train_in("killed", kill), Killed);
  int calls = 0;
  const Outcome resumed =
      train_in("killed", [&](Regression& objective, TrainerContext&) { objective.on_losses = [&] { ++calls; }; });
  EXPECT_EQ(calls, 20);
  EXPECT_EQ(resumed.weights, straight.weights);
  const auto lines = metrics("killed");
  ASSERT_EQ(lines.size(), 4u);
  for (std::size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(lines[i]["step"], 10 * (i + 1));
}

TEST_F(TrainerTest, AFinishedRunOnlyLoadsItsWeights) {
  const Outcome first = train_in("run");
  const Outcome again = train_in(
      "run", [](Regression& objective, TrainerContext&) { objective.on_losses = [] { FAIL() << "trained on"; }; });
  EXPECT_EQ(again.weights, first.weights);
  EXPECT_EQ(again.result.steps, 40);
}

TEST_F(TrainerTest, StartsAnewWhereAsked) {
  train_in("run");
  int calls = 0;
  train_in("run", [&](Regression& objective, TrainerContext& train_context) {
    train_context.resume = false;
    objective.on_losses = [&] { ++calls; };
  });
  EXPECT_EQ(calls, 40);
}

TEST_F(TrainerTest, RefusesTheCheckpointOfAnotherSeed) {
  train_in("run");
  test::expect_error(ErrorCode::usage, "seed 9", [&] {
    train_in("run", [](Regression&, TrainerContext& train_context) { train_context.seed = 10; });
  });
}

TEST_F(TrainerTest, StepsThatAreNotFiniteChangeNothing) {
  options_.steps = 1;
  options_.warmup = 0;
  const Outcome outcome =
      train_in("one", [](Regression& objective, TrainerContext&) { objective.poisoned = [](int) { return true; }; });
  EXPECT_EQ(outcome.result.skipped, 1);
  EXPECT_THAT(outcome.weights.at("line.weight"), ::testing::Each(0.0f));

  options_.steps = 60;
  const Outcome mixed = train_in("mixed", [](Regression& objective, TrainerContext&) {
    objective.poisoned = [](int call) { return call % 10 != 0; };  // nine in a row are allowed
  });
  EXPECT_EQ(mixed.result.skipped, 54);
  for (const float value : mixed.weights.at("line.weight")) EXPECT_TRUE(std::isfinite(value));
}

TEST_F(TrainerTest, TenStepsInARowThatAreNotFiniteAreAnError) {
  test::expect_error(ErrorCode::invalid_model, "10 steps in a row, up to step 25", [&] {
    train_in("run",
             [](Regression& objective, TrainerContext&) { objective.poisoned = [](int call) { return call > 14; }; });
  });
}

TEST_F(TrainerTest, ValidatesWithAveragedWeightsAndGoesOnUndisturbed) {
  const Outcome undisturbed = train_in("undisturbed");
  const auto backend = make_torch_backend({.threads = 1});
  backend->set_trainable([](const std::string&) { return true; });
  Regression objective(*backend);
  TrainerContext train_context = context("validated");
  std::vector<std::int64_t> steps;
  std::vector<float> last;
  train_context.validate_every = 15;
  train_context.validate = [&](std::int64_t step) {
    EXPECT_FALSE(backend->training());
    steps.push_back(step);
    const HostTensor weight = backend->parameter("line.weight");
    last.assign(weight.values<float>().begin(), weight.values<float>().end());
    return std::map<std::string, double>{{"score", static_cast<double>(step)}};
  };
  train(objective, *backend, options_, train_context);
  EXPECT_THAT(steps, ::testing::ElementsAre(15, 30, 40));
  EXPECT_EQ(last, undisturbed.weights.at("line.weight"));  // what is left at the end is the average
  EXPECT_EQ(metrics("validated").back()["validation"]["score"], 40);
}

TEST_F(TrainerTest, TellsHowTheMachineIsUsed) {
  train_in("run");
  const auto lines = metrics("run");
  EXPECT_GT(lines.front()["eta_seconds"].get<double>(), 0.0);
  EXPECT_EQ(lines.back()["eta_seconds"], 0.0);
  for (const auto& line : lines) {
    EXPECT_GT(line["mfu"].get<double>(), 0.0);
    EXPECT_LE(line["mfu"].get<double>(), 1.0);
    EXPECT_GT(line["memory_mb"].get<double>(), 1.0);
    EXPECT_GE(line["waiting"].get<double>(), 0.0);
  }
}

TEST_F(TrainerTest, ErrorsInTheDataComeThrough) {
  struct Broken : Regression {
    using Regression::Regression;
    std::unique_ptr<Batch> prepare(std::span<const Sample>) const override {
      fail(ErrorCode::invalid_input, "photo.jpg is broken");
    }
  };
  const auto backend = make_torch_backend({.threads = 1});
  backend->set_trainable([](const std::string&) { return true; });
  Broken objective(*backend);
  test::expect_error(ErrorCode::invalid_input, "photo.jpg",
                     [&] { train(objective, *backend, options_, context("run")); });
}

}  // namespace
}  // namespace capdiff
