#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <span>
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

  /// How many samples after the first one of step 0 batch number `batch` begins.
  std::uint64_t offset(std::int64_t batch) const {
    return static_cast<std::uint64_t>(batch / parts * step + begin + batch % parts * part);
  }
};

/// Prepares batches in background threads, a few ahead. They come in order, and do not depend on the number of threads.
class BatchLoader {
 public:
  /// The batches of `steps` steps, the first of which begins with sample `first`, prepared by `workers` threads.
  /// `objective` must outlive the loader.
  BatchLoader(const Objective& objective, SampleOrder order, std::uint64_t first, SampleShare share, std::int64_t steps,
              int workers = 1);
  /// Waits for the batches in preparation.
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

  /// Prepares one batch after the other that no other worker has begun.
  void work();
  Prepared prepare(std::span<const Sample> samples) const;

  const Objective& objective_;
  SampleOrder order_;
  std::uint64_t first_;
  SampleShare share_;
  std::int64_t count_;
  std::int64_t ahead_;  // batches that may be begun beyond those that were taken
  double seconds_waited_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::int64_t begun_ = 0, taken_ = 0;
  std::map<std::int64_t, Prepared> ready_;  // by number
  bool stopping_ = false;
  std::vector<std::thread> workers_;  // last: they use all of the above
};

}  // namespace capdiff
