#include "capdiff/training/ranks.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>

#include "capdiff/training/step_gradients.h"
#include "tests/support/expect_error.h"
#include "tests/training/rank_threads.h"

namespace capdiff::test {
namespace {

TEST(Ranks, OneAloneAgreesWithItself) {
  Ranks ranks;
  EXPECT_TRUE(ranks.alone());
  EXPECT_TRUE(ranks.leads());
  ranks.meet();
  EXPECT_TRUE(ranks.leader_says(true));
  ranks.require_same(3, "the weights");
  EXPECT_EQ(ranks.max(7), 7);
  torch::Tensor tensor = torch::full({2}, 3.0f);
  ranks.sum(tensor);
  EXPECT_EQ(tensor[1].item<float>(), 3.0f);
}

TEST(Ranks, AddUpAndAgree) {
  as_ranks(3, [](const std::shared_ptr<Ranks>& joined) {
    Ranks& ranks = *joined;
    EXPECT_EQ(ranks.size(), 3);
    EXPECT_EQ(ranks.leads(), ranks.rank() == 0);
    torch::Tensor tensor = torch::full({2}, static_cast<float>(ranks.rank() + 1));
    ranks.sum(tensor);
    EXPECT_EQ(tensor[0].item<float>(), 6.0f);
    EXPECT_EQ(tensor[1].item<float>(), 6.0f);
    EXPECT_EQ(ranks.max(10 * ranks.rank()), 20);
    EXPECT_TRUE(ranks.leader_says(ranks.leads()));
    EXPECT_FALSE(ranks.leader_says(!ranks.leads()));
  });
}

TEST(Ranks, MeetWhereTheLauncherListens) {
  as_ranks(
      2,
      [](const std::shared_ptr<Ranks>& joined) {
        Ranks& ranks = *joined;
        EXPECT_EQ(ranks.max(ranks.rank()), 1);
      },
      /*hosted=*/true);
}

TEST(Ranks, NobodyPassesAMeetingBeforeAllHaveCome) {
  std::atomic<int> came{0};
  as_ranks(3, [&](const std::shared_ptr<Ranks>& ranks) {
    for (int meeting = 1; meeting <= 5; ++meeting) {
      std::this_thread::sleep_for(std::chrono::milliseconds(3 * ranks->rank()));
      ++came;
      ranks->meet();
      EXPECT_GE(came, 3 * meeting);
    }
  });
}

TEST(Ranks, NameTheOneThatIsDifferent) {
  as_ranks(3, [](const std::shared_ptr<Ranks>& joined) {
    Ranks& ranks = *joined;
    ranks.require_same(std::uint64_t{5} << 40, "the weights");
    const std::uint64_t value = std::uint64_t{ranks.rank() == 2 ? 6u : 5u} << 40;
    expect_error(ErrorCode::internal, "the weights of rank 2 differ",
                 [&] { ranks.require_same(value, "the weights"); });
  });
}

TEST(Ranks, ThatNeverCameAreNamed) {
  const int port = free_port();
  expect_error(ErrorCode::io, "ranks 1, 2 of 3 did not come",
               [&] { Ranks(rank_place(0, 3, port), torch::kCPU, std::chrono::seconds(1)); });
}

TEST(Ranks, ALeaderThatNeverCameIsNamed) {
  const int port = free_port();
  expect_error(ErrorCode::io, "rank 1 has not reached rank 0 at 127.0.0.1",
               [&] { Ranks(rank_place(1, 2, port), torch::kCPU, std::chrono::seconds(1)); });
}

TEST(Ranks, AnOccupiedMeetingPlaceIsNamed) {
  const int port = free_port();
  std::optional<Ranks> first;
  std::thread other([&] { Ranks ranks(rank_place(1, 2, port), torch::kCPU, kRankPatience); });
  first.emplace(rank_place(0, 2, port), torch::kCPU, kRankPatience);
  other.join();
  expect_error(ErrorCode::io, "MASTER_PORT",
               [&] { Ranks(rank_place(0, 2, port), torch::kCPU, std::chrono::seconds(1)); });
}

/// Parameters of three shapes; rank r's gradients are r + 1, and only rank 0 has one for the last.
NamedTensors parameters_with_gradients(const Ranks& ranks) {
  NamedTensors parameters;
  for (const auto& [name, rows] :
       {std::pair{"a", 2}, {"large", 4'000'000}, {"unused", 3}, {"b", 3'000'000}, {"last", 5}})
    parameters.emplace_back(name, torch::zeros({rows, 2}, torch::requires_grad()));
  for (auto& [name, parameter] : parameters) {
    if (name == "unused" || (name == "last" && !ranks.leads())) continue;
    parameter.mutable_grad() = torch::full_like(parameter.detach(), static_cast<float>(ranks.rank() + 1));
  }
  return parameters;
}

TEST(StepGradients, OfAllRanksAreAddedUp) {
  as_ranks(2, [](const std::shared_ptr<Ranks>& joined) {
    Ranks& ranks = *joined;
    const NamedTensors parameters = parameters_with_gradients(ranks);
    sum_gradients(parameters, ranks);
    for (const auto& [name, parameter] : parameters) {
      if (name == "unused") {
        EXPECT_FALSE(parameter.grad().defined());
        continue;
      }
      const float expected = name == "last" ? 1.0f : 3.0f;
      ASSERT_TRUE(parameter.grad().defined()) << name;
      EXPECT_EQ(parameter.grad().sizes(), parameter.sizes());
      EXPECT_EQ(parameter.grad().min().item<float>(), expected) << name;
      EXPECT_EQ(parameter.grad().max().item<float>(), expected) << name;
    }
  });
}

TEST(StepGradients, ABatchThatCannotBeDividedIsAnError) {
  const Ranks alone;
  EXPECT_EQ(share_of_rank(12, 3, alone).part, 4);
  expect_error(ErrorCode::usage,
               "a batch of 16 samples cannot be divided evenly among 1 ranks that accumulate 3 batches",
               [&] { share_of_rank(16, 3, alone); });
}

}  // namespace
}  // namespace capdiff::test
