#include "capdiff/training/batch_loader.h"

#include <cassert>
#include <chrono>
#include <numeric>
#include <utility>

#include "capdiff/base/error.h"
#include "capdiff/base/philox.h"
#include "capdiff/training/random_streams.h"

namespace capdiff {
namespace {

constexpr std::int64_t kSpare = 2;  // batches ready beside those in preparation

}  // namespace

SampleOrder::SampleOrder(std::uint64_t seed, std::int64_t items)
    : seed_(seed), items_(static_cast<std::uint64_t>(items)) {
  if (items < 1) fail(ErrorCode::invalid_input, "the data set of this training stage is empty");
}

Sample SampleOrder::at(std::uint64_t draw) {
  const std::uint64_t epoch = draw / items_;
  if (order_.empty() || epoch != epoch_) {
    epoch_ = epoch;
    order_.resize(items_);
    std::iota(order_.begin(), order_.end(), std::int64_t{0});
    // Fisher and Yates' shuffle.
    RandomStream random(seed_, static_cast<std::uint32_t>(RandomPurpose::shuffle), epoch);
    for (std::uint64_t i = items_; i > 1; --i) std::swap(order_[i - 1], order_[random.below(i)]);
  }
  return {order_[draw % items_], draw};
}

BatchLoader::BatchLoader(const Objective& objective, SampleOrder order, std::uint64_t first, SampleShare share,
                         std::int64_t steps, int workers)
    : objective_(objective),
      order_(std::move(order)),
      first_(first),
      share_(share),
      count_(steps * share.parts),
      ahead_(workers + kSpare) {
  for (int i = 0; i < workers; ++i) workers_.emplace_back([this] { work(); });
}

BatchLoader::~BatchLoader() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void BatchLoader::work() {
  std::vector<Sample> samples(static_cast<std::size_t>(share_.part));
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || begun_ == count_ || begun_ < taken_ + ahead_; });
    if (stopping_ || begun_ == count_) return;
    const std::int64_t number = begun_++;
    // The order is that of an epoch, so neighbouring batches are cheap; it is shared, and the lock is held.
    std::uint64_t draw = first_ + share_.offset(number);
    for (Sample& sample : samples) sample = order_.at(draw++);
    lock.unlock();
    Prepared prepared = prepare(samples);
    lock.lock();
    ready_.emplace(number, std::move(prepared));
    changed_.notify_all();
  }
}

BatchLoader::Prepared BatchLoader::prepare(std::span<const Sample> samples) const {
  try {
    return {objective_.prepare(samples), nullptr};
  } catch (...) {
    return {nullptr, std::current_exception()};
  }
}

std::unique_ptr<Batch> BatchLoader::next() {
  const auto start = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return ready_.contains(taken_); });
  const auto found = ready_.find(taken_);
  Prepared prepared = std::move(found->second);
  ready_.erase(found);
  ++taken_;
  changed_.notify_all();
  seconds_waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (prepared.error) std::rethrow_exception(prepared.error);
  return std::move(prepared.batch);
}

}  // namespace capdiff
