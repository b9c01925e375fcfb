#include "capdiff/diffusion/sampler.h"

#include <algorithm>
#include <cmath>

#include "capdiff/base/error.h"
#include "capdiff/diffusion/dpm_solver.h"
#include "capdiff/diffusion/posterior.h"

namespace capdiff {
namespace {

void check_steps(std::int64_t steps, std::int64_t time_steps) {
  if (steps < 1 || steps > time_steps)
    fail(ErrorCode::usage, "the number of steps must lie between 1 and {}, not {}", time_steps, steps);
}

/// One walk from noise to x̂0, and perhaps a second after Back&Refine.
class Walk {
 public:
  Walk(Backend& backend, const NoiseSchedule& schedule, const SamplerConfig& config,
       std::span<const std::int64_t> times, const SamplingTask& task)
      : backend_(backend), schedule_(schedule), config_(config), times_(times), task_(task) {}

  Value run() {
    x_ = with_known(task_.noise->initial());
    x0_ = backend_.upload(HostTensor(DType::f32, x_.shape()));
    for (std::size_t i = 0;;) {
      const std::int64_t t = times_[i];
      x0_ = with_known(task_.denoise(x_, x0_, std::min(schedule_.time_steps() - 1, t + config_.time_shift)));
      const auto& back = config_.back_and_refine;
      const bool goes_back = back && !went_back_ && back->acts_at(t, schedule_.time_steps());
      const HostTensor kept = goes_back ? back->kept(task_.confidence(x0_)) : HostTensor();
      if (task_.observe) task_.observe({call_, t, x_, x0_, goes_back ? &kept : nullptr});
      ++call_;
      if (goes_back) {
        go_back(i, kept);
        i = back->noisy && times_.size() > 1 ? 1 : 0;
        continue;
      }
      if (i + 1 == times_.size()) return x0_;
      move(i);
      ++i;
    }
  }

 private:
  /// x ← its value at the noise level of times[i + 1].
  void move(std::size_t i) {
    const std::int64_t t = times_[i], next = times_[i + 1];
    Value moved;
    switch (config_.kind) {
      case SamplerKind::ddim: moved = ddim(t, next); break;
      case SamplerKind::renoise: moved = renoise(next); break;
      case SamplerKind::dpm_solver: moved = dpm_solver(i); break;
      case SamplerKind::ancestral: moved = ancestral(t, next); break;
    }
    x_ = with_known(moved);
  }

  Value ddim(std::int64_t t, std::int64_t next) {
    const double noise = schedule_.noise(t), next_noise = schedule_.noise(next);
    const double nu = config_.eta * next_noise / noise *
                      std::sqrt(std::max(0.0, 1.0 - schedule_.alpha_bar(t) / schedule_.alpha_bar(next)));
    const double keep = std::sqrt(std::max(0.0, next_noise * next_noise - nu * nu)) / noise;
    const Value moved = backend_.scale_add(static_cast<float>(schedule_.signal(next) - keep * schedule_.signal(t)), x0_,
                                           static_cast<float>(keep), x_);
    return nu == 0.0 ? moved : backend_.scale_add(1.0f, moved, static_cast<float>(nu), task_.noise->step(draw_++));
  }

  Value renoise(std::int64_t next) {
    return backend_.scale_add(static_cast<float>(schedule_.signal(next)), x0_,
                              static_cast<float>(schedule_.noise(next)), task_.noise->step(draw_++));
  }

  Value ancestral(std::int64_t t, std::int64_t next) {
    const Posterior posterior(schedule_.alpha_bar(t), schedule_.alpha_bar(next));
    const Value mean = posterior.mean(backend_, x0_, x_);
    return backend_.scale_add(1.0f, mean, static_cast<float>(std::sqrt(posterior.beta)), task_.noise->step(draw_++));
  }

  Value dpm_solver(std::size_t i) {
    const auto point = [&](std::size_t k) { return solver_point(schedule_.alpha_bar(times_[k])); };
    const bool last_of_few = times_.size() <= kFewSteps && i + 2 == times_.size();
    const bool first_order = !previous_x0_ || last_of_few || schedule_.noise(times_[i + 1]) == 0.0;
    const Value moved = first_order
                            ? dpm_solver_step(backend_, x_, x0_, point(i), point(i + 1))
                            : dpm_solver_step(backend_, x_, x0_, *previous_x0_, point(i - 1), point(i), point(i + 1));
    previous_x0_ = x0_;
    return moved;
  }

  void go_back(std::size_t i, const HostTensor& kept) {
    Value base = x0_;
    if (config_.back_and_refine->noisy) base = i + 1 < times_.size() ? renoise(times_[i + 1]) : x0_;
    x_ = with_known(backend_.select(backend_.upload(kept), base, task_.noise->restart()));
    previous_x0_.reset();
    went_back_ = true;
  }

  Value with_known(const Value& x) const {
    return task_.known ? backend_.select(task_.known->mask, task_.known->latent, x) : x;
  }

  /// DPM-Solver++ is unstable at the end of a short walk; its authors make the last step a first-order one there.
  static constexpr std::size_t kFewSteps = 10;

  Backend& backend_;
  const NoiseSchedule& schedule_;
  const SamplerConfig& config_;
  std::span<const std::int64_t> times_;
  const SamplingTask& task_;
  Value x_, x0_;
  std::optional<Value> previous_x0_;
  std::size_t call_ = 0;
  std::int64_t draw_ = 0;
  bool went_back_ = false;
};

}  // namespace

SamplerKind sampler_kind(std::string_view name) {
  for (const SamplerKind kind :
       {SamplerKind::ddim, SamplerKind::renoise, SamplerKind::dpm_solver, SamplerKind::ancestral})
    if (name == name_of(kind)) return kind;
  fail(ErrorCode::usage, "unknown sampler '{}'; known: ddim, renoise, dpm-solver, ancestral", name);
}

std::string_view name_of(SamplerKind kind) {
  switch (kind) {
    case SamplerKind::ddim: return "ddim";
    case SamplerKind::renoise: return "renoise";
    case SamplerKind::dpm_solver: return "dpm-solver";
    case SamplerKind::ancestral: return "ancestral";
  }
  return "";
}

std::vector<std::int64_t> ddim_times(std::int64_t steps, std::int64_t time_steps) {
  check_steps(steps, time_steps);
  std::vector<std::int64_t> times;
  for (std::int64_t i = 0; i < steps; ++i) times.push_back(time_steps - 1 - time_steps * i / steps);
  return times;
}

std::vector<std::int64_t> times_of_stride(std::int64_t stride, std::int64_t time_steps) {
  if (stride < 1) fail(ErrorCode::usage, "the stride must be at least 1, not {}", stride);
  std::vector<std::int64_t> times;
  for (std::int64_t t = time_steps - 1; t > 0; t -= stride) times.push_back(t);
  return times;
}

std::vector<std::int64_t> stride_times(std::int64_t steps, std::int64_t time_steps) {
  check_steps(steps, time_steps);
  return times_of_stride((time_steps - 1 + steps - 1) / steps, time_steps);
}

std::vector<std::int64_t> respaced_times(std::int64_t steps, std::int64_t time_steps) {
  check_steps(steps, time_steps);
  const double stride = steps == 1 ? 1.0 : static_cast<double>(time_steps - 1) / static_cast<double>(steps - 1);
  std::vector<std::int64_t> times;
  double at = 0.0;
  for (std::int64_t i = 0; i < steps; ++i, at += stride) times.push_back(std::llrint(at));
  std::ranges::reverse(times);
  return times;
}

std::vector<std::int64_t> multiple_times(std::int64_t steps, std::int64_t time_steps) {
  check_steps(steps, time_steps);
  for (std::int64_t stride = 1; stride <= time_steps; ++stride) {
    if ((time_steps + stride - 1) / stride != steps) continue;
    std::vector<std::int64_t> times;
    for (std::int64_t i = steps - 1; i >= 0; --i) times.push_back(i * stride);
    return times;
  }
  fail(ErrorCode::usage, "no stride makes {} steps of {}", steps, time_steps);
}

Value sample(Backend& backend, const NoiseSchedule& schedule, const SamplerConfig& config,
             std::span<const std::int64_t> times, const SamplingTask& task) {
  return Walk(backend, schedule, config, times, task).run();
}

}  // namespace capdiff
