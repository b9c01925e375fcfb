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

constexpr std::size_t kAhead = 2;

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
                         std::int64_t steps)
    : objective_(objective), order_(std::move(order)), thread_([=, this] { prepare_all(first, share, steps); }) {}

BatchLoader::~BatchLoader() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void BatchLoader::prepare_all(std::uint64_t first, const SampleShare& share, std::int64_t steps) {
  std::vector<Sample> samples(static_cast<std::size_t>(share.part));
  for (std::int64_t i = 0; i < steps * share.parts; ++i) {
    std::uint64_t draw =
        first + static_cast<std::uint64_t>(i / share.parts * share.step + share.begin + i % share.parts * share.part);
    Prepared prepared;
    try {
      for (Sample& sample : samples) sample = order_.at(draw++);
      prepared.batch = objective_.prepare(samples);
    } catch (...) {
      prepared.error = std::current_exception();
    }
    const bool failed = prepared.error != nullptr;
    if (!push(std::move(prepared)) || failed) return;
  }
}

bool BatchLoader::push(Prepared prepared) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stopping_ || ready_.size() < kAhead; });
  if (stopping_) return false;
  ready_.push_back(std::move(prepared));
  changed_.notify_all();
  return true;
}

std::unique_ptr<Batch> BatchLoader::next() {
  const auto start = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !ready_.empty(); });
  Prepared prepared = std::move(ready_.front());
  ready_.pop_front();
  changed_.notify_all();
  seconds_waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (prepared.error) std::rethrow_exception(prepared.error);
  return std::move(prepared.batch);
}

}  // namespace capdiff
