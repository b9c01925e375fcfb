#include "capdiff/diffusion/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

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
      : backend_(backend), schedule_(schedule), config_(config), times_(times), task_(task), known_(task.known) {}

  Value run() {
    x_ = with_known(task_.noise->initial());
    rows_.resize(static_cast<std::size_t>(x_.shape()[0]));
    std::iota(rows_.begin(), rows_.end(), 0);
    x0_ = backend_.upload(HostTensor(DType::f32, x_.shape()));
    for (std::size_t i = 0;;) {
      const std::int64_t t = times_[i];
      x0_ = with_known(task_.denoise(x_, x0_, std::min(schedule_.time_steps() - 1, t + config_.time_shift)));
      const auto& back = config_.back_and_refine;
      const bool goes_back = back && !went_back_ && back->acts_at(t, schedule_.time_steps());
      const HostTensor kept = goes_back ? back->kept(task_.confidence(x0_)) : HostTensor();
      if (task_.observe) task_.observe({call_, t, x_, x0_, rows_, goes_back ? &kept : nullptr});
      ++call_;
      if (goes_back) {
        go_back(i, kept);
        i = back->noisy && times_.size() > 1 ? 1 : 0;
        continue;
      }
      if (i + 1 == times_.size()) return all_rows();
      if (config_.settling.watches() && (!back || went_back_)) settle();
      if (rows_.empty()) return all_rows();
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
    return nu == 0.0 ? moved : backend_.scale_add(1.0f, moved, static_cast<float>(nu), fresh_noise());
  }

  Value renoise(std::int64_t next) {
    return backend_.scale_add(static_cast<float>(schedule_.signal(next)), x0_,
                              static_cast<float>(schedule_.noise(next)), fresh_noise());
  }

  Value ancestral(std::int64_t t, std::int64_t next) {
    const Posterior posterior(schedule_.alpha_bar(t), schedule_.alpha_bar(next));
    const Value mean = posterior.mean(backend_, x0_, x_);
    return backend_.scale_add(1.0f, mean, static_cast<float>(std::sqrt(posterior.beta)), fresh_noise());
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

  Value fresh_noise() {
    const Value noise = task_.noise->step(draw_++);
    return ended_.empty() ? noise : at(noise, rows_);
  }

  Value with_known(const Value& x) const { return known_ ? backend_.select(known_->mask, known_->latent, x) : x; }

  void settle() {
    settled_.update(task_.words(x0_));
    if (config_.settling.stop_after > 0) leave(settled_.rows(config_.settling.stop_after));
    if (config_.settling.freeze_after > 0 && !rows_.empty()) freeze(settled_.mask(config_.settling.freeze_after));
  }

  /// Words of `mask` [B, L, 1] are known from now on. Those that were so before keep the latent that they have: it is
  /// what x̂0 holds there.
  void freeze(const HostTensor& mask) {
    const Value frozen = backend_.upload(mask);
    known_ = {known_ ? backend_.select(frozen, frozen, known_->mask) : frozen, x0_};
  }

  /// The pictures whose rows are all done leave the batch; x̂0 as it is now is theirs.
  void leave(const std::vector<bool>& done) {
    const auto each = static_cast<std::size_t>(task_.rows_per_picture);
    std::vector<std::int64_t> pictures, stay, gone, gone_rows;
    for (std::size_t first = 0; first < rows_.size(); first += each) {
      const auto begin = done.begin() + static_cast<std::ptrdiff_t>(first);
      const bool leaves = std::all_of(begin, begin + static_cast<std::ptrdiff_t>(each), [](bool row) { return row; });
      if (!leaves) pictures.push_back(static_cast<std::int64_t>(first / each));
      for (std::size_t row = first; row < first + each; ++row) {
        (leaves ? gone : stay).push_back(static_cast<std::int64_t>(row));
        if (leaves) gone_rows.push_back(rows_[row]);
      }
    }
    if (gone.empty()) return;
    ended_.push_back({std::move(gone_rows), at(x0_, gone)});
    keep_only(stay);
    if (!pictures.empty()) task_.keep_only(pictures);
  }

  void keep_only(const std::vector<std::int64_t>& stay) {
    std::vector<std::int64_t> rows;
    for (const std::int64_t row : stay) rows.push_back(rows_[static_cast<std::size_t>(row)]);
    rows_ = std::move(rows);
    if (rows_.empty()) return;
    x_ = at(x_, stay);
    x0_ = at(x0_, stay);
    if (previous_x0_) previous_x0_ = at(*previous_x0_, stay);
    if (known_) known_ = {at(known_->mask, stay), at(known_->latent, stay)};
    settled_.keep_only(stay);
  }

  /// x̂0 of all rows, those that have left among them, in the order of the task.
  Value all_rows() {
    if (ended_.empty()) return x0_;
    if (!rows_.empty()) ended_.push_back({rows_, x0_});
    std::vector<Value> parts;
    std::vector<std::int64_t> order;
    for (const auto& [rows, x0] : ended_) {
      parts.push_back(x0);
      order.insert(order.end(), rows.begin(), rows.end());
    }
    std::vector<std::int64_t> place(order.size());
    for (std::size_t i = 0; i < order.size(); ++i)
      place[static_cast<std::size_t>(order[i])] = static_cast<std::int64_t>(i);
    return at(backend_.concat(parts, 0), place);
  }

  Value at(const Value& value, const std::vector<std::int64_t>& rows) const {
    return backend_.gather(value, backend_.upload(HostTensor::of({static_cast<std::int64_t>(rows.size())}, rows)));
  }

  /// DPM-Solver++ is unstable at the end of a short walk; its authors make the last step a first-order one there.
  static constexpr std::size_t kFewSteps = 10;

  Backend& backend_;
  const NoiseSchedule& schedule_;
  const SamplerConfig& config_;
  std::span<const std::int64_t> times_;
  const SamplingTask& task_;
  std::optional<KnownPositions> known_;
  Value x_, x0_;
  std::optional<Value> previous_x0_;
  std::vector<std::int64_t> rows_;  ///< of the task's batch: those that x has
  SettledWords settled_;
  std::vector<std::pair<std::vector<std::int64_t>, Value>> ended_;  ///< rows that have left, and their x̂0
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

std::vector<std::int64_t> ddim_times(std::int64_t steps, std::int64_t time_steps, double spacing) {
  check_steps(steps, time_steps);
  std::vector<std::int64_t> times;
  for (std::int64_t i = 0; i < steps; ++i) {
    // Even steps in integers: ⌊T i / n⌋ must not depend on how i / n is rounded.
    const double left = std::pow(1.0 - static_cast<double>(i) / static_cast<double>(steps), spacing);
    const std::int64_t passed = spacing == 1.0
                                    ? time_steps * i / steps
                                    : static_cast<std::int64_t>(static_cast<double>(time_steps) * (1.0 - left));
    const std::int64_t highest = times.empty() ? time_steps - 1 : times.back() - 1;
    times.push_back(std::clamp(time_steps - 1 - passed, steps - 1 - i, highest));
  }
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
