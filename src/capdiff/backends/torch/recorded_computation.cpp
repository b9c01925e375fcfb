#include "capdiff/backends/torch/recorded_computation.h"

#include <algorithm>
#include <cstddef>

#include "capdiff/backends/torch/operation.h"
#include "capdiff/backends/torch/torch_backend.h"

namespace capdiff::torch_detail {
namespace {

/// Shapes whose recordings are kept: full and last batches, with and without guidance's interval.
constexpr std::size_t kKeptRecordings = 4;

bool same_shape_and_type(const torch::Tensor& a, const torch::Tensor& b) {
  return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type();
}

bool same_storage(const std::weak_ptr<const Value::Storage>& a, const std::shared_ptr<const Value::Storage>& b) {
  return !a.owner_before(b) && !b.owner_before(a);
}

}  // namespace

struct RecordedComputation::Entry {
  std::vector<torch::Tensor> inputs;                             ///< where the recording reads
  std::vector<std::weak_ptr<const Value::Storage>> filled_from;  ///< whose copies these are
  std::unique_ptr<Recording> recording;

  explicit Entry(std::span<const Value> values) {
    for (const Value& value : values) {
      inputs.push_back(TorchBackend::tensor(value).clone(at::MemoryFormat::Contiguous));
      filled_from.push_back(value.storage());
    }
  }

  bool takes(std::span<const Value> values) const {
    return std::ranges::equal(inputs, values, [](const torch::Tensor& input, const Value& value) {
      return same_shape_and_type(input, TorchBackend::tensor(value));
    });
  }

  void fill(std::span<const Value> values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (same_storage(filled_from[i], values[i].storage())) continue;
      inputs[i].copy_(TorchBackend::tensor(values[i]));
      filled_from[i] = values[i].storage();
    }
  }
};

struct RecordedComputation::State {
  Computation computation;
  MakeRecording make;
  std::list<Entry> entries;  ///< the one used last in front

  Entry& entry(std::span<const Value> values) {
    const auto found = std::ranges::find_if(entries, [&](const Entry& entry) { return entry.takes(values); });
    if (found != entries.end()) {
      entries.splice(entries.begin(), entries, found);
      found->fill(values);
      return *found;
    }
    // Before the new one takes memory.
    if (entries.size() == kKeptRecordings) entries.pop_back();
    std::list<Entry> fresh;
    fresh.emplace_back(values);
    std::vector<Value> inputs;
    for (const torch::Tensor& input : fresh.front().inputs) inputs.push_back(TorchBackend::value(input));
    fresh.front().recording = make([this, inputs] { return TorchBackend::tensor(computation(inputs)); });
    entries.splice(entries.begin(), fresh);
    return entries.front();
  }
};

RecordedComputation::RecordedComputation(Computation computation, MakeRecording make)
    : state_(std::make_shared<State>(std::move(computation), std::move(make), std::list<Entry>())) {}

Value RecordedComputation::operator()(std::span<const Value> inputs) const {
  return compute("record", [&] {
    const torch::NoGradGuard no_history;
    Recording& recording = *state_->entry(inputs).recording;
    recording.replay();
    const torch::Tensor& output = recording.output();
    return output.scalar_type() == at::kBFloat16 ? output.to(at::kFloat) : output.clone();
  });
}

}  // namespace capdiff::torch_detail
