#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "capdiff/backends/backend.h"
#include "capdiff/backends/metered_backend.h"
#include "capdiff/evaluation/roofline.h"
#include "capdiff/image/image.h"

namespace capdiff {

/// A made-up picture of the size of a photo: a gradient under noise, another for each number.
Image made_picture(std::uint64_t number);

/// Seconds of runs of the same work.
struct RunTimes {
  std::vector<double> seconds;

  double median() const;
  double fastest() const;
  double slowest() const;
};

/// Calls each of `runs` `warmup` times; then all of them in turn, `repeats` times, so that what the machine does beside
/// them falls on all alike.
std::vector<RunTimes> time_in_turn(std::span<const std::function<void()>> runs, int warmup, int repeats);

/// The most memory that this process has had so far, in bytes.
double peak_memory();

/// What captioning took.
struct SpeedReport {
  std::string model, model_type, backend, library_version, dtype;
  int threads = 0;
  std::int64_t batch = 0, images = 0, candidates = 1;
  std::optional<std::int64_t> steps = {}, beams = {}, length = {};
  std::optional<double> guidance = {};
  double peak_memory = 0.0;  ///< bytes

  RunTimes times = {};         ///< of all images; empty where there are `latency`
  Measurements measured = {};  ///< of one run
  std::optional<Ceilings> ceilings = {};
  std::vector<std::pair<std::int64_t, RunTimes>> latency = {};  ///< by length
  std::vector<std::pair<std::string, RunTimes>> dtypes = {};

  /// The fastest of `dtypes`.
  const std::pair<std::string, RunTimes>& fastest() const;
};

/// The object that `capdiff bench --json` prints.
nlohmann::ordered_json to_json(const SpeedReport& report);
std::string to_table(const SpeedReport& report);

}  // namespace capdiff
