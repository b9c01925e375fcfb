#include "capdiff/base/interruption.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace capdiff {
namespace {

TEST(InterruptionDeathTest, ASecondSignalEndsTheProcessWhicheverItIs) {
  for (const auto& [first, second] : {std::pair{SIGINT, SIGTERM}, {SIGTERM, SIGINT}, {SIGINT, SIGINT}})
    EXPECT_EXIT(
        {
          const InterruptionGuard guard;
          std::raise(first);
          if (guard.signal() != first) std::_Exit(3);
          std::raise(second);
          std::_Exit(4);
        },
        testing::KilledBySignal(second), "");
}

TEST(InterruptionDeathTest, AProcessCanEndAsTheSignalWouldHave) {
  EXPECT_EXIT(
      {
        const InterruptionGuard guard;
        end_by(SIGINT);
        std::_Exit(4);
      },
      testing::KilledBySignal(SIGINT), "");
}

}  // namespace
}  // namespace capdiff
