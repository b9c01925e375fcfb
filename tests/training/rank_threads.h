#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "capdiff/base/network_port.h"
#include "capdiff/training/c10d.h"
#include "capdiff/training/ranks.h"
#include "tests/training/worker_process.h"

namespace capdiff::test {

inline constexpr std::chrono::seconds kRankPatience(60);

inline RankEnvironment rank_place(int rank, int size, int port) {
  return {rank, size, rank, "127.0.0.1", static_cast<std::uint16_t>(port)};
}

/// Runs `work` as each of several ranks, which are threads here. `hosted`: somebody else keeps the meeting place.
inline void as_ranks(int size, const std::function<void(const std::shared_ptr<Ranks>&)>& work, bool hosted = false) {
  const int port = free_port();
  std::optional<SharedCounters> launcher;
  if (hosted) launcher.emplace(rank_place(0, 1, port), /*keeper=*/true, kRankPatience);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([=, &work] {
      try {
        RankEnvironment environment = rank_place(rank, size, port);
        environment.hosted = hosted;
        const auto ranks = std::make_shared<Ranks>(environment, torch::kCPU, kRankPatience);
        work(ranks);
        ranks->meet();
      } catch (const std::exception& error) {
        ADD_FAILURE() << "rank " << rank << ": " << error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace capdiff::test
