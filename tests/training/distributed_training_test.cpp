#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <thread>

#include "capdiff/base/network_port.h"
#include "capdiff/base/philox.h"
#include "capdiff/training/checkpoint.h"
#include "tests/support/command.h"
#include "tests/support/temporary_folder.h"
#include "tests/training/worker_process.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

using Weights = std::map<std::string, std::vector<float>>;

Weights weights_of(const fs::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  Weights weights;
  for (const std::string& name : file.names()) {
    const HostTensor tensor = file.tensor(name);
    weights[name].assign(tensor.values<float>().begin(), tensor.values<float>().end());
  }
  return weights;
}

/// The largest difference of any two weights; they are of the size of 1.
float distance(const Weights& a, const Weights& b) {
  float largest = 0.0f;
  for (const auto& [name, values] : a) {
    EXPECT_EQ(values.size(), b.at(name).size());
    for (std::size_t i = 0; i < values.size(); ++i) largest = std::max(largest, std::abs(values[i] - b.at(name)[i]));
  }
  return largest;
}

class DistributedTraining : public testing::Test {
 protected:
  WorkerTask task(const std::string& run, std::int64_t steps, std::int64_t batch = 16) const {
    fs::create_directories(folder_.path() / run);
    return {.folder = folder_.path() / run, .options = worker_options(steps, batch), .port = free_port()};
  }

  /// Trains with so many ranks and returns the weights of the last one.
  Weights train_with(int ranks, WorkerTask task) const {
    std::vector<std::unique_ptr<WorkerProcess>> workers;
    task.size = ranks;
    for (task.rank = 0; task.rank < ranks; ++task.rank) workers.push_back(std::make_unique<WorkerProcess>(task));
    for (auto& worker : workers) EXPECT_EQ(worker->wait(), 0) << worker->output();
    const Weights leaders = weights_of(task.folder / "weights-0.safetensors");
    const Weights last = weights_of(task.folder / fmt::format("weights-{}.safetensors", ranks - 1));
    EXPECT_EQ(distance(leaders, last), 0.0f) << "the ranks have not learnt the same";
    return last;
  }

  static std::int64_t newest_step(const fs::path& run) {
    std::int64_t newest = 0;
    if (!fs::exists(run / "checkpoints")) return newest;
    for (const auto& entry : fs::directory_iterator(run / "checkpoints")) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("step-")) newest = std::max<std::int64_t>(newest, std::atoll(name.c_str() + 5));
    }
    return newest;
  }

  /// Waits for a checkpoint at `step` or later; false where the worker ends before.
  static bool reaches(WorkerProcess& worker, const fs::path& run, std::int64_t step) {
    while (newest_step(run) < step) {
      if (!worker.running()) return false;
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    return true;
  }

  /// Two processes that share a run.
  struct TwoRanks {
    TwoRanks(WorkerTask task, std::int64_t checkpoint_every)
        : task(with(std::move(task), checkpoint_every)), leader(rank(0)), follower(rank(1)) {}

    bool have_a_checkpoint() { return reaches(leader, task.folder, task.options.checkpoint_every); }

    WorkerTask task;
    WorkerProcess leader, follower;

   private:
    static WorkerTask with(WorkerTask task, std::int64_t checkpoint_every) {
      task.options.checkpoint_every = checkpoint_every;
      task.size = 2;
      return task;
    }
    WorkerTask rank(int number) const {
      WorkerTask own = task;
      own.rank = number;
      return own;
    }
  };

  TemporaryFolder folder_;
};

/// Sums in another order: a few units in the last place of each step.
constexpr float kRounding = 2e-5f;

TEST_F(DistributedTraining, TwoRanksLearnWhatOneLearns) {
  const Weights one = train_with(1, task("one", 40));
  EXPECT_LT(distance(train_with(2, task("two", 40)), one), kRounding);
  EXPECT_GT(distance(train_with(1, task("half", 40, 8)), one), 100 * kRounding);  // the test would notice half a batch
}

TEST_F(DistributedTraining, AccumulatedBatchesLearnWhatOneBatchLearns) {
  const Weights one = train_with(1, task("one", 40));
  WorkerTask accumulating = task("accumulating", 40);
  accumulating.options.accumulate = 2;
  EXPECT_LT(distance(train_with(1, accumulating), one), kRounding);
  WorkerTask both = task("both", 40);
  both.options.accumulate = 4;
  EXPECT_LT(distance(train_with(2, both), one), kRounding);
}

TEST_F(DistributedTraining, RanksDropDifferentThings) {
  WorkerTask dropping = task("dropping", 1, 2);
  dropping.dropout = 0.5f;
  train_with(2, dropping);  // and still end with the same weights
}

TEST_F(DistributedTraining, WhatIsNotFiniteOnOneRankIsSkippedByAll) {
  WorkerTask poisoned = task("poisoned", 3);
  poisoned.poisoned = 1;
  train_with(2, poisoned);
  const std::string metrics = read_text_bytes(poisoned.folder / "metrics.jsonl");
  EXPECT_THAT(metrics, HasSubstr("\"skipped\":1,"));
}

TEST_F(DistributedTraining, AKilledRankIsNamedAndTheCheckpointServes) {
  const WorkerTask killed = task("killed", 1'000'000);
  TwoRanks ranks(killed, /*checkpoint_every=*/5);
  ASSERT_TRUE(ranks.have_a_checkpoint()) << ranks.leader.output();
  ranks.follower.signal(SIGKILL);
  EXPECT_EQ(ranks.leader.wait(), 1);
  EXPECT_THAT(ranks.leader.output(), HasSubstr("rank 1 of 2 is lost"));

  const auto checkpoint = latest_checkpoint(killed.folder / "checkpoints");
  ASSERT_TRUE(checkpoint);
  WorkerTask resumed = killed;
  resumed.options.steps = checkpoint->state.step + 5;
  WorkerProcess last(resumed);
  EXPECT_EQ(last.wait(), 0) << last.output();
  EXPECT_THAT(last.output(), HasSubstr("goes on from"));
}

TEST_F(DistributedTraining, ASignalToOneRankStopsAllWithOneCheckpoint) {
  const WorkerTask stopped = task("stopped", 1'000'000);
  TwoRanks ranks(stopped, /*checkpoint_every=*/20);
  ASSERT_TRUE(ranks.have_a_checkpoint()) << ranks.leader.output();
  ranks.follower.signal(SIGTERM);
  for (WorkerProcess* rank : {&ranks.leader, &ranks.follower}) EXPECT_EQ(rank->wait(), 128 + SIGTERM) << rank->output();
  const std::string where = fmt::format("stopped after {} of", newest_step(stopped.folder));
  for (const WorkerProcess* rank : {&ranks.leader, &ranks.follower}) EXPECT_THAT(rank->output(), HasSubstr(where));
}

/// Twenty times killed without warning, at moments that only chance knows, among them those in the middle of writing.
TEST_F(DistributedTraining, ARunThatIsKilledTwentyTimesEndsWithTheSameBits) {
  constexpr int kKills = 20;
  WorkerTask undisturbed = task("undisturbed", 600, 4);
  undisturbed.dropout = 0.1f;
  undisturbed.options.checkpoint_every = 200;
  const Weights expected = train_with(1, undisturbed);

  WorkerTask disturbed = task("disturbed", 600, 4);
  disturbed.dropout = 0.1f;
  disturbed.options.checkpoint_every = 1;
  disturbed.pause = 500;
  RandomStream random(1, 1, 1);
  int kills = 0;
  for (; kills < kKills; ++kills) {
    WorkerProcess worker(disturbed);
    const std::int64_t steps = newest_step(disturbed.folder) + static_cast<std::int64_t>(random.below(4));
    if (!reaches(worker, disturbed.folder, steps)) break;
    std::this_thread::sleep_for(std::chrono::microseconds(random.below(4000)));
    worker.signal(SIGKILL);
    worker.wait();
  }
  EXPECT_EQ(kills, kKills) << "it was done before it had been killed often enough";
  disturbed.options.checkpoint_every = 200;
  EXPECT_EQ(train_with(1, disturbed), expected);
}

}  // namespace
}  // namespace capdiff::test
