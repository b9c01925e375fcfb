#include "capdiff/data/picture_queue.h"

#include <algorithm>
#include <exception>
#include <system_error>
#include <utility>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

/// Of pixels that wait, and of those of a batch: photos of 12 million pixels come as 9 MB each.
constexpr std::size_t kMaxWaitingBytes = std::size_t{512} << 20;

}  // namespace

PictureQueue::PictureQueue(std::size_t count, std::size_t batch, Threads threads, Read read)
    : count_(count), batch_(batch), threads_(threads), read_(std::move(read)) {
  const int workers = std::max({1, threads_.waiting, threads_.computing});
  try {
    for (int i = 0; i < workers && static_cast<std::size_t>(i) < count_; ++i) workers_.emplace_back([this] { work(); });
  } catch (const std::system_error& error) {
    // The system gives no more of them; those that it gave do the work.
    if (workers_.empty()) fail(ErrorCode::io, "no thread can be started: {}", error.what());
  }
}

PictureQueue::~PictureQueue() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

bool PictureQueue::may_begin() const {
  const int allowed = waiting_ ? std::max(1, threads_.waiting) : threads_.computing;
  // One batch is taken while the next one is prepared. No thread has nothing to do while the last of a batch is read.
  const std::size_t ahead = batch_ + std::max(batch_, workers_.size());
  return busy_ < allowed && begun_ < taken_ + ahead && ready_bytes_ < kMaxWaitingBytes;
}

void PictureQueue::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || begun_ == count_ || may_begin(); });
    if (stopping_ || begun_ == count_) return;
    const std::size_t number = begun_++;
    ++busy_;
    lock.unlock();
    QueuedPicture picture = prepare(number);
    lock.lock();
    --busy_;
    ready_bytes_ += picture.image.rgb.size();
    ready_.emplace(number, std::move(picture));
    changed_.notify_all();
  }
}

QueuedPicture PictureQueue::prepare(std::size_t number) const {
  try {
    return {number, read_(number), {}};
  } catch (const std::exception& error) {
    return {number, {}, *error.what() ? error.what() : "it cannot be read"};
  }
}

std::vector<QueuedPicture> PictureQueue::next_batch() {
  std::vector<QueuedPicture> batch;
  std::size_t readable = 0, bytes = 0;
  std::unique_lock lock(mutex_);
  waiting_ = true;
  changed_.notify_all();
  while (taken_ < count_ && readable < batch_ && bytes < kMaxWaitingBytes) {
    changed_.wait(lock, [&] { return ready_.contains(taken_); });
    QueuedPicture picture = std::move(ready_.extract(taken_++).mapped());
    ready_bytes_ -= picture.image.rgb.size();
    bytes += picture.image.rgb.size();
    if (picture.readable()) ++readable;
    batch.push_back(std::move(picture));
    changed_.notify_all();
  }
  waiting_ = false;
  return batch;
}

}  // namespace capdiff
