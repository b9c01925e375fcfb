#include "capdiff/captioners/recorded_step.h"

#include <cstddef>
#include <utility>

namespace capdiff {
namespace {

/// With and without guidance, as walks with an interval of it need; recordings take memory.
constexpr std::size_t kKeptWeights = 2;

}  // namespace

Value RecordedStep::operator()(std::span<const Value> inputs, double guidance) {
  auto found = recorded_.find(guidance);
  if (found == recorded_.end()) {
    if (recorded_.size() == kKeptWeights) recorded_.clear();
    found = recorded_
                .emplace(guidance, backend_->record([step = step_, guidance](std::span<const Value> values) {
                  return step(values, guidance);
                }))
                .first;
  }
  return found->second(inputs);
}

std::map<std::int64_t, Value> rows_by_time(Backend& backend, std::span<const std::int64_t> times, const Value& told) {
  std::map<std::int64_t, Value> rows;
  for (std::size_t i = 0; i < times.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i);
    rows.emplace(times[i], backend.slice(told, 0, row, row + 1));
  }
  return rows;
}

}  // namespace capdiff
