#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace capdiff {

/// Writes standard error from a thread of its own, for a program that must not wait for whoever reads it. While it
/// exists, what `write_to_stderr` is given is queued; what `max_bytes` do not hold is dropped and counted, and a line
/// in its place says so. One may exist at a time.
class BackgroundStderr {
 public:
  explicit BackgroundStderr(std::size_t max_bytes = std::size_t{1} << 20);
  /// Writes what is queued, for a second at most.
  ~BackgroundStderr();
  BackgroundStderr(const BackgroundStderr&) = delete;
  BackgroundStderr& operator=(const BackgroundStderr&) = delete;

  /// How many texts were not written.
  std::uint64_t dropped() const;

 private:
  void add(std::string_view text);
  void queue(std::string text);
  void say_what_is_missing();
  void run();
  /// Whether all of it was written.
  bool write(std::string_view text);
  bool given_up() const;

  const std::size_t max_bytes_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::string> texts_;
  std::size_t bytes_ = 0;
  std::uint64_t dropped_ = 0, unsaid_ = 0;  // unsaid: dropped since the last line that told so
  bool stopping_ = false;
  std::chrono::steady_clock::time_point last_moment_;
  std::thread thread_;
};

}  // namespace capdiff
