#pragma once

#include <omp.h>

#include <algorithm>

#include "capdiff/base/parallel.h"

namespace capdiff::onednn {

/// Threads that work of `cost` elementary steps deserves: waking a thread takes about as long as 25,000 steps.
inline int threads_worth(double cost, int available) {
  constexpr double kStepsPerThread = 2.5e4;
  return static_cast<int>(std::clamp(cost / kStepsPerThread, 1.0, static_cast<double>(available)));
}

/// Limits the OpenMP regions that oneDNN opens from this thread while the scope lasts.
class ThreadLimit {
 public:
  explicit ThreadLimit(int threads) : before_(omp_get_max_threads()) { omp_set_num_threads(threads); }
  ~ThreadLimit() { omp_set_num_threads(before_); }
  ThreadLimit(const ThreadLimit&) = delete;
  ThreadLimit& operator=(const ThreadLimit&) = delete;

 private:
  int before_;
};

}  // namespace capdiff::onednn
