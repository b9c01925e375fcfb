#include "capdiff/evaluation/speed.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>

#include "capdiff/base/philox.h"

namespace capdiff {
namespace {

constexpr int kMadeWidth = 500, kMadeHeight = 375;

}  // namespace

Image made_picture(std::uint64_t number) {
  RandomStream random(0, 0, number);
  const double across = random.uniform(0.0, 200.0), down = random.uniform(0.0, 200.0);
  Image image(kMadeWidth, kMadeHeight);
  for (int y = 0; y < kMadeHeight; ++y) {
    auto pixel = image.row(y).begin();
    for (int x = 0; x < kMadeWidth; ++x) {
      const double slope = across * x / kMadeWidth + down * y / kMadeHeight;
      for (int channel = 0; channel < 3; ++channel)
        *pixel++ = static_cast<std::uint8_t>(slope * (channel + 1) / 6.0 + static_cast<double>(random.next_u32() % 56));
    }
  }
  return image;
}

double RunTimes::median() const {
  std::vector<double> sorted = seconds;
  std::ranges::sort(sorted);
  const std::size_t half = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2.0;
}

double RunTimes::fastest() const {
  return *std::ranges::min_element(seconds);
}

double RunTimes::slowest() const {
  return *std::ranges::max_element(seconds);
}

std::vector<RunTimes> time_in_turn(std::span<const std::function<void()>> runs, int warmup, int repeats) {
  for (const auto& run : runs)
    for (int i = 0; i < warmup; ++i) run();
  std::vector<RunTimes> times(runs.size());
  for (int repeat = 0; repeat < repeats; ++repeat) {
    for (std::size_t i = 0; i < runs.size(); ++i) {
      const auto start = std::chrono::steady_clock::now();
      runs[i]();
      times[i].seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
  }
  return times;
}

double peak_memory() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return 1024.0 * static_cast<double>(usage.ru_maxrss);
}

const std::pair<std::string, RunTimes>& SpeedReport::fastest() const {
  return *std::ranges::min_element(dtypes, {}, [](const auto& type) { return type.second.median(); });
}

}  // namespace capdiff
