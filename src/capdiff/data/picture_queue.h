#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "capdiff/image/image.h"

namespace capdiff {

/// A picture that was read, or the reason why it was not.
struct QueuedPicture {
  std::size_t number = 0;  ///< which one it is, from 0
  Image image;
  std::string error;  ///< not empty where there is no image

  bool readable() const { return error.empty(); }
};

/// Reads and decodes pictures in several threads, a little ahead of whoever captions them. Pictures come out in their
/// order, however long each takes; what is held of those that wait is bounded in number and in bytes.
class PictureQueue {
 public:
  /// How many threads may be busy here: while a batch is waited for, and while the caller computes. Together with what
  /// computes, they are the program's share of the machine.
  struct Threads {
    int waiting = 1;
    int computing = 0;
  };
  /// Gives picture `number`, or throws. Called from several threads at once.
  using Read = std::function<Image(std::size_t number)>;

  /// Pictures 0 … count - 1, in batches of `batch` readable ones. Makes do with fewer threads where the system gives no
  /// more; where it gives none, that is an `Error(io)`.
  PictureQueue(std::size_t count, std::size_t batch, Threads threads, Read read);
  /// Waits for the pictures in preparation.
  ~PictureQueue();
  PictureQueue(const PictureQueue&) = delete;
  PictureQueue& operator=(const PictureQueue&) = delete;

  /// The next pictures: as many readable ones as make a batch, and the unreadable ones among them. The last batch is
  /// smaller, and so is one of enormous pictures. Empty when all have been taken.
  std::vector<QueuedPicture> next_batch();

 private:
  void work();
  /// Whether another picture may be begun. The lock is held.
  bool may_begin() const;
  QueuedPicture prepare(std::size_t number) const;

  const std::size_t count_, batch_;
  const Threads threads_;
  const Read read_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t begun_ = 0, taken_ = 0;
  std::size_t ready_bytes_ = 0;
  std::map<std::size_t, QueuedPicture> ready_;  // by number
  int busy_ = 0;
  bool waiting_ = false, stopping_ = false;
  std::vector<std::thread> workers_;  // last: they use all of the above
};

}  // namespace capdiff
