#include "capdiff/serving/metrics.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace capdiff {
namespace {

constexpr std::array<double, 11> kSeconds{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0};
constexpr std::array<double, 7> kPictures{1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0};

std::string family(const char* name, const char* type, const char* help) {
  return fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

template <class Number>
std::string single(const char* name, const char* type, const char* help, Number value) {
  return family(name, type, help) + fmt::format("{} {}\n", name, value);
}

}  // namespace

void Histogram::observe(double value) {
  const auto bound = std::ranges::lower_bound(bounds_, value);
  ++counts_[static_cast<std::size_t>(bound - bounds_.begin())];
  sum_ += value;
}

std::string Histogram::text(const std::string& name) const {
  std::string text;
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    count += counts_[i];
    text += fmt::format("{}_bucket{{le=\"{}\"}} {}\n", name,
                        i < bounds_.size() ? fmt::format("{}", bounds_[i]) : "+Inf", count);
  }
  return text + fmt::format("{0}_sum {1}\n{0}_count {2}\n", name, sum_, count);
}

ServingMetrics::ServingMetrics() : request_seconds_(kSeconds), batch_pictures_(kPictures) {}

void ServingMetrics::count_request(const std::string& route, int status, double seconds) {
  const std::lock_guard lock(mutex_);
  ++requests_[{route, status}];
  if (status == 200 && route.starts_with("/v1/c")) request_seconds_.observe(seconds);
}

void ServingMetrics::count_batch(std::size_t pictures, double seconds) {
  const std::lock_guard lock(mutex_);
  batch_pictures_.observe(static_cast<double>(pictures));
  pictures_ += pictures;
  computing_seconds_ += seconds;
}

double ServingMetrics::seconds_per_picture() const {
  const std::lock_guard lock(mutex_);
  return pictures_ == 0 ? 0.0 : computing_seconds_ / static_cast<double>(pictures_);
}

std::string ServingMetrics::text(const Gauges& gauges) const {
  const std::lock_guard lock(mutex_);
  std::string text = family("capdiff_requests_total", "counter", "Requests by route and status.");
  for (const auto& [key, count] : requests_)
    text += fmt::format("capdiff_requests_total{{route=\"{}\",status=\"{}\"}} {}\n", key.first, key.second, count);
  text += family("capdiff_request_seconds", "histogram", "Time of the caption requests that succeeded.") +
          request_seconds_.text("capdiff_request_seconds");
  text += family("capdiff_batch_pictures", "histogram", "Pictures that were captioned together.") +
          batch_pictures_.text("capdiff_batch_pictures");
  text += single("capdiff_pictures_total", "counter", "Pictures captioned.", pictures_);
  text += single("capdiff_computing_seconds_total", "counter", "Time spent captioning them.", computing_seconds_);
  text += single("capdiff_queued_pictures", "gauge", "Pictures that wait.", gauges.queued);
  text += single("capdiff_connections", "gauge", "Open connections.", gauges.connections);
  text += single("capdiff_body_bytes", "gauge", "Memory for requests that are read or wait.", gauges.body_bytes);
  text += single("capdiff_log_lines_dropped_total", "counter", "Lines of the log that could not be written.",
                 gauges.dropped_lines);
  text += single("process_resident_memory_bytes", "gauge", "Memory in use.", resident_bytes());
  return text + family("capdiff_build_info", "gauge", "The version.") +
         "capdiff_build_info{version=\"" CAPDIFF_VERSION "\"} 1\n";
}

std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t size = 0, resident = 0;
  if (!(statm >> size >> resident)) return 0;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace capdiff
