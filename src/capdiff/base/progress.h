#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace capdiff {

/// Progress of a long job on standard error, with rate and remaining time. On a terminal it is a bar, redrawn at most
/// ten times a second; elsewhere a plain line about every half minute, so that logs stay short. One bar is shown at a
/// time. `advance` may be called from several threads.
class Progress {
 public:
  /// `total` = 0 where the amount is unknown.
  Progress(std::string label, std::uint64_t total);
  /// Erases the bar.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(std::uint64_t by = 1);

 private:
  using Clock = std::chrono::steady_clock;

  const std::string label_;
  const std::uint64_t total_;
  const bool terminal_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point shown_ = start_;
  std::uint64_t done_ = 0;
};

/// "captioning [#####.....] 50% 500/1000, 12.5/s, 0:40 left". The bar is left out where `width` columns do not hold it.
std::string progress_line(std::string_view label, std::uint64_t done, std::uint64_t total, double seconds, int width);

/// "1:05", "2:00:05"; more than a hundred days are shown as those.
std::string duration_text(double seconds);

/// Whether standard error is a terminal that takes control sequences.
bool stderr_is_terminal();

/// Writes to standard error, lifting a progress bar out of the way.
void write_to_stderr(std::string_view text);

/// Hands what is for standard error to `writer` instead, one call at a time; an empty one ends that.
void set_stderr_writer(std::function<void(std::string_view)> writer);

}  // namespace capdiff
