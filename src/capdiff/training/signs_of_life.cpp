#include "capdiff/training/signs_of_life.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>

namespace capdiff {

std::string counter_of(std::string_view purpose, int rank) {
  return fmt::format("{}/{}", purpose, rank);
}

Heartbeat::Heartbeat(const RankEnvironment& environment, std::chrono::seconds timeout)
    : counters_(environment, /*keeper=*/false, timeout),
      name_(counter_of("beat", environment.rank)),
      thread_([this] { beat(); }) {}

Heartbeat::~Heartbeat() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Heartbeat::beat() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    try {
      counters_.add(name_, 1);
    } catch (const std::exception&) {
      return;  // rank 0 is gone, which the main thread notices by itself
    }
    changed_.wait_for(lock, kBeat, [this] { return stopping_; });
  }
}

SignsOfLife::SignsOfLife(SharedCounters& counters, const RankEnvironment& environment)
    : counters_(counters),
      own_(environment.rank),
      beats_(static_cast<std::size_t>(environment.size), 0),
      heard_(static_cast<std::size_t>(environment.size)) {
  restart();
}

void SignsOfLife::restart() {
  std::ranges::fill(heard_, Clock::now());
}

void SignsOfLife::listen() {
  const Clock::time_point now = Clock::now();
  for (std::size_t rank = 0; rank < beats_.size(); ++rank) {
    const std::int64_t beats = counters_.get(counter_of("beat", static_cast<int>(rank)));
    if (beats != beats_[rank]) heard_[rank] = now;
    beats_[rank] = beats;
  }
}

std::vector<int> SignsOfLife::silent_since(Clock::time_point moment) const {
  std::vector<int> ranks;
  for (std::size_t rank = 0; rank < heard_.size(); ++rank) {
    if (static_cast<int>(rank) != own_ && heard_[rank] <= moment) ranks.push_back(static_cast<int>(rank));
  }
  return ranks;
}

}  // namespace capdiff
