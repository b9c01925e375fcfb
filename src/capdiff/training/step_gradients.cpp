#include "capdiff/training/step_gradients.h"

#include "capdiff/base/error.h"
#include "capdiff/base/philox.h"
#include "capdiff/training/random_streams.h"

namespace capdiff {
namespace {

constexpr std::int64_t kBucketElements = (std::int64_t{25} << 20) / 4;

/// One sum for several tensors: their gradients, and for each whether it has one.
void sum_bucket(std::span<const std::pair<std::string, torch::Tensor>> parameters, Ranks& ranks) {
  std::vector<torch::Tensor> parts;
  std::vector<float> present;
  for (const auto& [name, parameter] : parameters) {
    const torch::Tensor& gradient = parameter.grad();
    present.push_back(gradient.defined() ? 1.0f : 0.0f);
    parts.push_back(gradient.defined() ? gradient.reshape(-1) : torch::zeros_like(parameter).detach().reshape(-1));
  }
  const auto count = static_cast<std::int64_t>(present.size());
  parts.push_back(torch::from_blob(present.data(), {count}, torch::kFloat32).to(parts.front().device()));
  torch::Tensor flat = torch::cat(parts).to(ranks.device());
  ranks.sum(flat);

  const torch::Tensor anywhere = flat.slice(0, flat.numel() - count).to(torch::kCPU);
  std::int64_t begin = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    torch::Tensor parameter = parameters[static_cast<std::size_t>(i)].second;
    const torch::Tensor sum = flat.slice(0, begin, begin + parameter.numel()).view(parameter.sizes());
    begin += parameter.numel();
    if (anywhere[i].item<float>() == 0.0f) continue;
    if (parameter.grad().defined()) {
      parameter.mutable_grad().copy_(sum);
    } else {
      parameter.mutable_grad() = sum.to(parameter.device(), parameter.scalar_type(), false, /*copy=*/true);
    }
  }
}

/// The sums over all ranks of the weights and of the weighted losses of `losses`, in host memory.
StepLosses sum_losses(const StepLosses& losses, Ranks& ranks) {
  std::vector<torch::Tensor> values{torch::full({}, losses.weight, torch::kFloat64), losses.total.to(torch::kCPU)};
  for (const auto& [name, value] : losses.parts) values.push_back(value.to(torch::kCPU));
  const torch::Tensor sums = torch::stack(values);
  ranks.sum(sums);
  StepLosses result{sums[1], {}, sums[0].item<double>()};
  for (std::size_t i = 0; i < losses.parts.size(); ++i) {
    result.parts.emplace_back(losses.parts[i].first, sums[static_cast<std::int64_t>(i) + 2]);
  }
  return result;
}

}  // namespace

SampleShare share_of_rank(std::int64_t batch, std::int64_t accumulate, const Ranks& ranks) {
  const std::int64_t batches = accumulate * ranks.size();
  if (batch % batches != 0) {
    fail(ErrorCode::usage, "a batch of {} samples cannot be divided evenly among {} ranks that accumulate {} batches",
         batch, ranks.size(), accumulate);
  }
  const std::int64_t part = batch / batches;
  return {.step = batch, .begin = ranks.rank() * accumulate * part, .parts = accumulate, .part = part};
}

void sum_gradients(const NamedTensors& parameters, Ranks& ranks) {
  const torch::NoGradGuard no_grad;
  std::size_t begin = 0;
  while (begin < parameters.size()) {
    std::size_t end = begin;
    std::int64_t elements = 0;
    do {
      elements += parameters[end++].second.numel();
    } while (end < parameters.size() && elements + parameters[end].second.numel() <= kBucketElements);
    sum_bucket(std::span(parameters).subspan(begin, end - begin), ranks);
    begin = end;
  }
}

StepGradients::StepGradients(Objective& objective, TorchBackend& backend, NamedTensors trainable, Ranks& ranks,
                             std::uint64_t seed)
    : objective_(objective), backend_(backend), trainable_(std::move(trainable)), ranks_(ranks), seed_(seed) {}

StepLosses StepGradients::run(BatchLoader& loader, std::int64_t step, std::int64_t part, std::int64_t parts) {
  RandomStream random(seed_, static_cast<std::uint32_t>(RandomPurpose::step), static_cast<std::uint64_t>(step));
  std::uint64_t seed = random.next_u64();
  for (std::int64_t i = 0; i < ranks_.rank() * parts + part; ++i) seed = random.next_u64();
  backend_.seed(seed);
  const std::unique_ptr<Batch> batch = loader.next();
  return objective_.losses(*batch);
}

StepLosses StepGradients::compute(BatchLoader& loader, std::int64_t step, std::int64_t parts) {
  if (ranks_.alone() && parts == 1) {
    StepLosses losses = run(loader, step, 0, 1);
    losses.total.backward();
    return losses;
  }
  // Sums of weight · loss and of weights, over the batches and then over the ranks; one quotient at the end.
  StepLosses sum{{}, {}, 0.0};
  for (std::int64_t part = 0; part < parts; ++part) {
    const StepLosses losses = run(loader, step, part, parts);
    (losses.total * losses.weight).backward();
    const auto add = [&](torch::Tensor& to, const torch::Tensor& value) {
      const torch::Tensor weighted = value.detach().to(torch::kFloat64) * losses.weight;
      to = to.defined() ? to + weighted : weighted;
    };
    add(sum.total, losses.total);
    if (part == 0) {
      for (const auto& [name, value] : losses.parts) sum.parts.emplace_back(name, torch::Tensor());
    }
    for (std::size_t i = 0; i < losses.parts.size(); ++i) add(sum.parts[i].second, losses.parts[i].second);
    sum.weight += losses.weight;
  }
  if (!ranks_.alone()) {
    sum = sum_losses(sum, ranks_);  // first: Gloo notices a lost rank at once, NCCL only after its timeout
    sum_gradients(trainable_, ranks_);
  }
  const torch::NoGradGuard no_grad;
  for (auto& [name, parameter] : trainable_) {
    if (parameter.grad().defined()) parameter.mutable_grad().div_(sum.weight);
  }
  sum.total = sum.total / sum.weight;
  for (auto& [name, value] : sum.parts) value = value / sum.weight;
  return sum;
}

}  // namespace capdiff
