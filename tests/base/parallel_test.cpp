#include "capdiff/base/parallel.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/expect_error.h"

namespace capdiff {
namespace {

TEST(ParallelRanges, CoverEverythingOnce) {
  for (const std::int64_t n : {0, 1, 7, 100}) {
    for (const int threads : {0, 1, 2, 3, 8, 200}) {
      std::vector<int> visits(static_cast<std::size_t>(n));
      parallel_ranges(n, threads, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) ++visits[i];
      });
      EXPECT_EQ(visits, std::vector<int>(static_cast<std::size_t>(n), 1)) << n << " on " << threads;
    }
  }
}

TEST(ParallelRanges, RethrowWhatAPartThrows) {
  for (const int threads : {1, 4}) {
    test::expect_error(ErrorCode::invalid_input, "part", [&] {
      parallel_ranges(10, threads, [](std::int64_t, std::int64_t) { fail(ErrorCode::invalid_input, "part"); });
    });
  }
}

}  // namespace
}  // namespace capdiff
