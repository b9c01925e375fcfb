#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "capdiff/training/c10d.h"

namespace capdiff {

/// The time between two signs of life.
inline constexpr std::chrono::milliseconds kBeat(500);

/// The name of a counter that each rank has of its own.
std::string counter_of(std::string_view purpose, int rank);

/// Gives this rank's signs of life over a connection of its own, while the main thread computes or waits.
class Heartbeat {
 public:
  Heartbeat(const RankEnvironment& environment, std::chrono::seconds timeout);
  ~Heartbeat();
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

 private:
  void beat();

  SharedCounters counters_;
  std::string name_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread thread_;  // last: it uses all of the above
};

/// When each rank was last heard of.
class SignsOfLife {
 public:
  using Clock = std::chrono::steady_clock;

  SignsOfLife(SharedCounters& counters, const RankEnvironment& environment);

  /// As if all had just been heard of.
  void restart();
  void listen();
  /// The other ranks that have not been heard of since.
  std::vector<int> silent_since(Clock::time_point moment) const;

 private:
  SharedCounters& counters_;
  int own_;
  std::vector<std::int64_t> beats_;
  std::vector<Clock::time_point> heard_;
};

}  // namespace capdiff
