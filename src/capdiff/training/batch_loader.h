#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "capdiff/training/objective.h"

namespace capdiff {

/// The endless sequence of samples of a run: epoch after epoch of the data set, each in an order of its own. Sample n
/// is a pure function of (seed, n, items), so that neither batch size nor interruptions change it; batches may cross
/// the border between two epochs, and no item is ever left out.
class SampleOrder {
 public:
  SampleOrder(std::uint64_t seed, std::int64_t items);

  /// Sample number `draw`. Cheap while calls stay within one epoch.
  Sample at(std::uint64_t draw);

 private:
  std::uint64_t seed_;
  std::uint64_t items_;
  std::uint64_t epoch_ = 0;
  std::vector<std::int64_t> order_;  // of `epoch_`; empty before the first call
};

/// Which samples of each optimiser step are loaded here: `parts` batches of `part` samples, from `begin` on. Where one
/// process does a whole step in one batch, that is all of them.
struct SampleShare {
  std::int64_t step = 1;  ///< samples of a whole step, of all ranks
  std::int64_t begin = 0;
  std::int64_t parts = 1;
  std::int64_t part = 1;
};

/// Prepares batches in a background thread, at most two ahead.
class BatchLoader {
 public:
  /// The batches of `steps` steps, the first of which begins with sample `first`. `objective` must outlive the loader.
  BatchLoader(const Objective& objective, SampleOrder order, std::uint64_t first, SampleShare share,
              std::int64_t steps);
  /// Waits for the batch in preparation.
  ~BatchLoader();
  BatchLoader(const BatchLoader&) = delete;
  BatchLoader& operator=(const BatchLoader&) = delete;

  /// The next batch. Throws what its preparation threw. May be called `parts` times a step.
  std::unique_ptr<Batch> next();
  /// Time spent waiting in `next`: what faster preparation would save.
  double seconds_waited() const { return seconds_waited_; }

 private:
  struct Prepared {
    std::unique_ptr<Batch> batch;
    std::exception_ptr error;
  };

  void prepare_all(std::uint64_t first, const SampleShare& share, std::int64_t steps);
  /// False where the loader is being destroyed.
  bool push(Prepared prepared);

  const Objective& objective_;
  SampleOrder order_;
  double seconds_waited_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Prepared> ready_;
  bool stopping_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace capdiff
