#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace capdiff {

/// Counts of values up to given bounds, as Prometheus has them.
class Histogram {
 public:
  explicit Histogram(std::span<const double> bounds) : bounds_(bounds), counts_(bounds.size() + 1) {}

  void observe(double value);
  /// The lines of its samples: name_bucket{le="…"}, name_sum and name_count.
  std::string text(const std::string& name) const;

 private:
  std::span<const double> bounds_;  // ascending; of a constant
  std::vector<std::uint64_t> counts_;
  double sum_ = 0.0;
};

/// What others count, at the time of asking.
struct Gauges {
  std::size_t queued = 0;           ///< pictures that wait to be computed
  std::size_t connections = 0;      ///< open ones
  std::size_t body_bytes = 0;       ///< of requests that are read or wait
  std::uint64_t dropped_lines = 0;  ///< of the log
};

/// The server's books, in Prometheus' text format.
class ServingMetrics {
 public:
  ServingMetrics();

  /// `route` is one of few.
  void count_request(const std::string& route, int status, double seconds);
  void count_batch(std::size_t pictures, double seconds);
  /// Mean time of a picture in the batches so far, 0 before the first.
  double seconds_per_picture() const;
  std::string text(const Gauges& gauges) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, std::uint64_t> requests_;
  Histogram request_seconds_, batch_pictures_;
  std::uint64_t pictures_ = 0;
  double computing_seconds_ = 0.0;
};

/// Memory of this process that is in use, in bytes; 0 where the system does not tell.
std::size_t resident_bytes();

}  // namespace capdiff
