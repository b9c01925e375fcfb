#include "capdiff/training/batch_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <thread>

#include "tests/support/expect_error.h"

namespace capdiff {
namespace {

struct Samples : Batch {
  std::vector<Sample> samples;
};

/// Hands its samples through, and fails at one of them.
class Recorder : public Objective {
 public:
  explicit Recorder(std::int64_t items, std::uint64_t bad_draw = 1'000'000, bool uneven = false)
      : items_(items), bad_draw_(bad_draw), uneven_(uneven) {}
  std::int64_t size() const override { return items_; }
  std::unique_ptr<Batch> prepare(std::span<const Sample> samples) const override {
    auto batch = std::make_unique<Samples>();
    // Later batches are ready first.
    if (uneven_) std::this_thread::sleep_for(std::chrono::microseconds(samples.front().draw % 7 == 0 ? 3000 : 10));
    for (const Sample& sample : samples) {
      if (sample.draw == bad_draw_) fail(ErrorCode::invalid_input, "sample {} is bad", sample.draw);
      batch->samples.push_back(sample);
    }
    return batch;
  }
  StepLosses losses(const Batch&) override { return {}; }

 private:
  std::int64_t items_;
  std::uint64_t bad_draw_;
  bool uneven_;
};

std::vector<std::int64_t> items_of(const Objective& objective, std::uint64_t first, std::int64_t batch,
                                   std::int64_t count, int workers = 1) {
  BatchLoader loader(objective, SampleOrder(1, objective.size()), first, {.step = batch, .part = batch}, count,
                     workers);
  std::vector<std::int64_t> items;
  std::uint64_t draw = first;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::unique_ptr<Batch> prepared = loader.next();
    for (const Sample& sample : dynamic_cast<const Samples&>(*prepared).samples) {
      EXPECT_EQ(sample.draw, draw++);
      items.push_back(sample.item);
    }
  }
  return items;
}

TEST(SampleOrder, VisitsEveryItemOnceAnEpoch) {
  SampleOrder order(5, 10);
  std::vector<std::vector<std::int64_t>> epochs(3);
  for (std::uint64_t draw = 0; draw < 30; ++draw) epochs[draw / 10].push_back(order.at(draw).item);
  for (const auto& epoch : epochs) {
    EXPECT_EQ(std::set<std::int64_t>(epoch.begin(), epoch.end()).size(), 10u);
  }
  EXPECT_NE(epochs[0], epochs[1]);
  EXPECT_NE(epochs[1], epochs[2]);
}

TEST(SampleOrder, DependsOnSeedAndNumberAlone) {
  SampleOrder forward(5, 10), backward(5, 10), other(6, 10);
  std::vector<std::int64_t> a, b, c;
  for (std::uint64_t i = 0; i < 30; ++i) {
    a.push_back(forward.at(i).item);
    b.insert(b.begin(), backward.at(29 - i).item);
    c.push_back(other.at(i).item);
  }
  EXPECT_EQ(a, b);
  EXPECT_NE(a, c);
}

TEST(SampleOrder, RefusesAnEmptyDataSet) {
  test::expect_error(ErrorCode::invalid_input, "empty", [] { SampleOrder(1, 0); });
}

TEST(BatchLoader, GivesTheSameSamplesInAnyBatchSizeAndFromAnyStart) {
  const Recorder objective(7);
  const auto all = items_of(objective, 0, 1, 24);
  EXPECT_EQ(items_of(objective, 0, 4, 6), all);
  EXPECT_EQ(items_of(objective, 0, 12, 2), all);
  const std::vector<std::int64_t> tail(all.begin() + 9, all.end());
  EXPECT_EQ(items_of(objective, 9, 5, 3), tail);
}

TEST(BatchLoader, ManyWorkersKeepTheOrder) {
  const Recorder objective(7, 1'000'000, /*uneven=*/true);
  const auto alone = items_of(objective, 3, 2, 60);
  EXPECT_EQ(items_of(objective, 3, 2, 60, 2), alone);
  EXPECT_EQ(items_of(objective, 3, 2, 60, 8), alone);
}

TEST(BatchLoader, LoadsOneRanksShareOfEachStep) {
  const Recorder objective(100);
  // Steps of 12 samples; the second of two ranks, in two batches a step.
  BatchLoader loader(objective, SampleOrder(1, 100), 12, {.step = 12, .begin = 6, .parts = 2, .part = 3}, 2);
  std::vector<std::uint64_t> draws;
  for (int i = 0; i < 4; ++i) {
    const std::unique_ptr<Batch> prepared = loader.next();
    const auto& samples = dynamic_cast<const Samples&>(*prepared).samples;
    EXPECT_EQ(samples.size(), 3u);
    for (const Sample& sample : samples) draws.push_back(sample.draw);
  }
  EXPECT_THAT(draws, testing::ElementsAre(18, 19, 20, 21, 22, 23, 30, 31, 32, 33, 34, 35));
}

TEST(BatchLoader, CarriesErrorsOverInTheirPlace) {
  const Recorder objective(4, 5);
  for (const int workers : {1, 4}) {
    BatchLoader loader(objective, SampleOrder(1, 4), 0, {.step = 2, .part = 2}, 10, workers);
    loader.next();
    loader.next();
    test::expect_error(ErrorCode::invalid_input, "sample 5 is bad", [&] { loader.next(); });
  }
}

TEST(BatchLoader, StopsWithBatchesUnused) {
  const Recorder objective(4);
  for (const int workers : {1, 4}) {
    BatchLoader loader(objective, SampleOrder(1, 4), 0, {.step = 2, .part = 2}, 1'000'000, workers);
    loader.next();
  }
}

}  // namespace
}  // namespace capdiff
