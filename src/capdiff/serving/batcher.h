#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "capdiff/captioners/captioner.h"
#include "capdiff/serving/allowance.h"

namespace capdiff {

/// A picture that waits for its caption.
struct CaptionJob {
  Image image;
  GenerationOptions options;                ///< with a `watch` it is computed alone
  std::optional<CaptionTemplate> sentence;  ///< to fill; computed alone
  Allowance::Ticket place;                  ///< in the queue, given back when its turn comes
  std::function<bool()> abandoned;          ///< whether nobody waits for it any more
  /// Exactly one of these is called, on the computing thread; neither for a job that is abandoned.
  std::function<void(Caption)> done;
  std::function<void(std::exception_ptr)> failed;
};

struct BatcherOptions {
  std::size_t max_rows = 16;  ///< captions drawn at the same time: pictures times candidates; one picture at least
  std::chrono::milliseconds max_wait{5};                   ///< that a picture waits for others to come
  std::size_t max_waiting_bytes = std::size_t{512} << 20;  ///< of pixels in the queue
};

/// What a batch was, for the books.
struct BatchRecord {
  std::size_t pictures = 0;
  double seconds = 0.0;
};

/// Captions pictures on one thread, which alone touches the captioner: the oldest picture that waits, together with
/// those behind it that are to be drawn in the same way.
class Batcher {
 public:
  /// `report` is told of every batch, on the computing thread.
  Batcher(Captioner& captioner, BatcherOptions options, std::function<void(const BatchRecord&)> report);
  /// Gives up what is computed and what waits.
  ~Batcher();
  Batcher(const Batcher&) = delete;
  Batcher& operator=(const Batcher&) = delete;

  /// Adds a job to the queue. Waits while the pixels in it take too much memory, or until the job is abandoned.
  void submit(CaptionJob job);
  /// Gives back the places and the memory of jobs that are abandoned before their turn comes.
  void drop_abandoned();

 private:
  using Clock = std::chrono::steady_clock;

  struct Waiting {
    CaptionJob job;
    std::string kind;  ///< equal for jobs that may be drawn together; empty for those that are computed alone
    Clock::time_point since;
  };

  /// Whether it has dropped any; with the lock held.
  bool drop_abandoned_locked();
  void compute_until_stopped();
  /// The next jobs to compute, or none when the batcher stops.
  std::vector<CaptionJob> next_batch();
  std::size_t waiting_like_first() const;
  void compute(std::vector<CaptionJob> batch);
  std::vector<Caption> captions_of(std::vector<CaptionJob>& batch);

  Captioner& captioner_;
  const BatcherOptions options_;
  const std::function<void(const BatchRecord&)> report_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Waiting> queue_;
  std::size_t waiting_bytes_ = 0;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace capdiff
