#include "capdiff/training/trainer.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "capdiff/base/error.h"
#include "capdiff/base/hash.h"
#include "capdiff/base/interruption.h"
#include "capdiff/base/progress.h"
#include "capdiff/training/batch_loader.h"
#include "capdiff/training/checkpoint.h"
#include "capdiff/training/ema.h"
#include "capdiff/training/machine_use.h"
#include "capdiff/training/metrics_log.h"
#include "capdiff/training/optimizer.h"
#include "capdiff/training/step_gradients.h"

namespace capdiff {
namespace {

constexpr int kMaxSkippedInARow = 10;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Sums of losses since the last line of metrics. They stay on the device until they are asked for.
class LossWindow {
 public:
  void add(const StepLosses& losses) {
    add("loss", losses.total);
    for (const auto& [name, value] : losses.parts) add(name, value);
    ++count_;
  }
  std::map<std::string, double> take_means() {
    std::map<std::string, double> means;
    for (const auto& [name, sum] : sums_) means[name] = sum.item<double>() / static_cast<double>(count_);
    sums_.clear();
    count_ = 0;
    return means;
  }
  bool empty() const { return count_ == 0; }

 private:
  void add(const std::string& name, const torch::Tensor& value) {
    torch::Tensor& sum = sums_[name];
    const torch::Tensor detached = value.detach().to(torch::kFloat64);
    sum = sum.defined() ? sum + detached : detached;
  }

  std::map<std::string, torch::Tensor> sums_;
  std::int64_t count_ = 0;
};

/// One call of `train`.
class Run {
 public:
  Run(Objective& objective, TorchBackend& backend, const OptimisationOptions& options, const TrainerContext& context)
      : objective_(objective),
        backend_(backend),
        options_(options),
        context_(context),
        optimizer_(trainable(), {.beta1 = options.beta1,
                                 .beta2 = options.beta2,
                                 .weight_decay = options.weight_decay,
                                 .rate = context.rate}),
        share_(share_of_rank(options.batch, options.accumulate, ranks())),
        gradients_(objective, backend, trainable(), ranks(), context.seed) {
    state_.items = objective.size();
    state_.seed = context.seed;
    total_steps_ = options.total_steps(state_.items);
    schedule_ = options.schedule(total_steps_);
    if (options.ema > 0) average_.emplace(trainable(), options.ema, options.ema_warmup);
    matrix_rate_ = matrix_rate(backend);
    operations_before_ = backend.product_operations();
    if (context.resume) resume();
    ranks().require_same(fingerprint(), "the weights at the start of training");
    if (!ranks().leads()) return;
    log_.emplace(context.metrics, context.stage, state_.step);
    std::int64_t elements = 0;
    for (const auto& [name, tensor] : trainable()) elements += tensor.numel();
    spdlog::info("{}: {:.2f} million parameters learn", context.stage, static_cast<double>(elements) / 1e6);
  }

  TrainingResult finish() {
    if (state_.step < total_steps_) take_steps();
    if (average_) average_->copy_to_parameters();
    backend_.train(false);
    return {state_.step, state_.skipped, state_.seconds, losses_};
  }

 private:
  Ranks& ranks() const { return *context_.ranks; }

  NamedTensors trainable() const {
    NamedTensors parameters = backend_.trainable_parameters();
    if (parameters.empty()) fail(ErrorCode::internal, "stage {} has nothing to train", context_.stage);
    return parameters;
  }

  void resume() {
    const std::optional<Checkpoint> checkpoint = latest_checkpoint(context_.checkpoints);
    if (!checkpoint) return;
    const TrainingState& saved = checkpoint->state;
    if (saved.seed != state_.seed || saved.items != state_.items) {
      fail(ErrorCode::usage,
           "{}: the checkpoint is of another run: seed {} and {} items, now seed {} and {} items; train into another "
           "folder, or start anew with --no-resume",
           checkpoint->path.string(), saved.seed, saved.items, state_.seed, state_.items);
    }
    const SafetensorsFile& weights = checkpoint->file("weights");
    for (const auto& [name, tensor] : backend_.parameters()) load_into(tensor, weights, name);
    optimizer_.load_state(checkpoint->file("optimizer"));
    if (average_) average_->load_state(checkpoint->file("ema"));
    state_ = saved;
    spdlog::info("{}: goes on from {}", context_.stage, checkpoint->path.string());
  }

  /// Of all weights and of the step.
  std::uint64_t fingerprint() const {
    if (ranks().alone()) return 0;
    std::vector<std::uint64_t> hashes{static_cast<std::uint64_t>(state_.step)};
    for (const auto& [name, tensor] : backend_.parameters()) hashes.push_back(xxh3_64(host_view(tensor).bytes()));
    return xxh3_64(std::as_bytes(std::span(hashes)));
  }

  void take_steps() {
    InterruptionGuard interruption;
    BatchLoader loader(objective_, SampleOrder(state_.seed, state_.items), state_.draw, share_,
                       total_steps_ - state_.step, options_.workers);
    std::optional<Progress> progress;
    if (ranks().leads()) progress.emplace(context_.stage, static_cast<std::uint64_t>(total_steps_ - state_.step));
    const double seconds_before = state_.seconds;
    const Clock::time_point start = Clock::now();
    Window window;
    backend_.train(true);
    while (state_.step < total_steps_) {
      step(loader);
      ++window.steps;
      if (progress) progress->advance();
      state_.seconds = seconds_before + seconds_since(start);
      const bool last = state_.step == total_steps_;
      if (last || state_.step % options_.log_every == 0) {
        write_metrics(window, loader);
        window = Window{0, loader.seconds_waited(), Clock::now()};
      }
      const auto signal = static_cast<int>(ranks().max(interruption.signal()));
      if (last || signal != 0 || state_.step % options_.checkpoint_every == 0) save();
      if (signal != 0 && !last) {
        throw Interrupted(signal, fmt::format("{}: stopped after {} of {} steps; the same command goes on from there",
                                              context_.stage, state_.step, total_steps_));
      }
      if (context_.validate_every > 0 && (last || state_.step % context_.validate_every == 0)) validate();
    }
  }

  void step(BatchLoader& loader) {
    optimizer_.zero_gradients();
    const StepLosses losses = gradients_.compute(loader, state_.step, share_.parts);
    gradient_norm_ = optimizer_.gradient_norm();
    learning_rate_ = schedule_.at(state_.step);
    if (std::isfinite(gradient_norm_) && std::isfinite(losses.total.item<double>())) {
      optimizer_.step(learning_rate_, clip_factor());
      if (average_) average_->update(state_.step);
      window_losses_.add(losses);
      skipped_in_a_row_ = 0;
    } else {
      skip();
    }
    ++state_.step;
    state_.draw += static_cast<std::uint64_t>(options_.batch);
  }

  /// What gradients are multiplied by, as in torch.nn.utils.clip_grad_norm_.
  double clip_factor() const {
    if (options_.gradient_clip == 0) return 1.0;
    return std::min(1.0, options_.gradient_clip / (gradient_norm_ + 1e-6));
  }

  void skip() {
    ++state_.skipped;
    ++skipped_in_a_row_;
    spdlog::warn("{}: step {} is skipped: its loss or gradients are not finite", context_.stage, state_.step + 1);
    if (skipped_in_a_row_ == kMaxSkippedInARow) {
      fail(ErrorCode::invalid_model,
           "{}: {} steps in a row, up to step {}, had a loss or gradients that are not finite; checkpoints from before "
           "are in {}",
           context_.stage, kMaxSkippedInARow, state_.step + 1, context_.checkpoints.string());
    }
  }

  struct Window {
    std::int64_t steps = 0;
    double waited_before = 0;
    Clock::time_point start = Clock::now();
  };

  void write_metrics(const Window& window, const BatchLoader& loader) {
    const double seconds = std::max(1e-9, seconds_since(window.start) - seconds_aside_);
    const double steps_per_second = static_cast<double>(window.steps) / seconds;
    const double samples_per_second = steps_per_second * static_cast<double>(options_.batch);
    const double waiting = (loader.seconds_waited() - window.waited_before) / seconds;
    const double seconds_left = static_cast<double>(total_steps_ - state_.step) / std::max(1e-9, steps_per_second);
    const double operations = (backend_.product_operations() - operations_before_) / seconds;
    matrix_rate_ = std::max(matrix_rate_, operations);  // measured while others had the processor, it was too low
    const double use = operations / matrix_rate_;
    const double megabytes = peak_memory(backend_.device()) / 1e6;
    operations_before_ = backend_.product_operations();
    seconds_aside_ = 0;
    nlohmann::json line = {
        {"step", state_.step},
        {"epoch", static_cast<double>(state_.draw) / static_cast<double>(state_.items)},
        {"learning_rate", learning_rate_},
        {"gradient_norm", std::isfinite(gradient_norm_) ? nlohmann::json(gradient_norm_) : nlohmann::json()},
        {"samples_per_second", samples_per_second},
        {"waiting", waiting},
        {"mfu", use},
        {"memory_mb", megabytes},
        {"skipped", state_.skipped},
        {"seconds", state_.seconds},
        {"eta_seconds", seconds_left},
    };
    std::string text;
    if (!window_losses_.empty()) losses_ = window_losses_.take_means();
    if (!log_) return;
    for (const auto& [name, value] : losses_) {
      line["losses"][name] = value;
      text += fmt::format(" {} {:.4f}", name, value);
    }
    log_->write(std::move(line));
    spdlog::info(
        "{}: step {}/{}:{}, learning rate {:.2e}, gradient {:.3f}, {:.1f} samples/s, {} left, waiting {:.0f} %, "
        "mfu {:.0f} %, {:.0f} MB",
        context_.stage, state_.step, total_steps_, text, learning_rate_, gradient_norm_, samples_per_second,
        duration_text(seconds_left), 100 * waiting, 100 * use, megabytes);
  }

  void save() {
    if (ranks().leads()) {
      CheckpointTensors tensors;
      for (const auto& [name, tensor] : backend_.parameters()) tensors["weights"][name] = host_view(tensor);
      tensors["optimizer"] = optimizer_.state();
      if (average_) tensors["ema"] = average_->state();
      save_checkpoint(context_.checkpoints, state_, tensors, context_.keep_checkpoints);
    }
    ranks().meet();
  }

  void validate() {
    if (ranks().leads()) validate_here();
    ranks().meet();
  }

  void validate_here() {
    const Clock::time_point start = Clock::now();
    const double operations = backend_.product_operations();
    torch::NoGradGuard no_grad;
    backend_.train(false);
    if (average_) average_->swap();
    const std::map<std::string, double> scores = context_.validate(state_.step);
    if (average_) average_->swap();
    backend_.train(true);
    if (!scores.empty()) log_->write({{"step", state_.step}, {"validation", scores}});
    // Speed and use of the machine are those of training.
    operations_before_ += backend_.product_operations() - operations;
    seconds_aside_ += seconds_since(start);
  }

  Objective& objective_;
  TorchBackend& backend_;
  const OptimisationOptions& options_;
  const TrainerContext& context_;
  AdamW optimizer_;
  SampleShare share_;
  StepGradients gradients_;
  std::optional<MovingAverage> average_;
  std::optional<MetricsLog> log_;  // the leader's
  TrainingState state_;
  std::int64_t total_steps_ = 0;
  LearningRateSchedule schedule_;
  LossWindow window_losses_;
  std::map<std::string, double> losses_;
  double gradient_norm_ = 0;
  double learning_rate_ = 0;
  int skipped_in_a_row_ = 0;
  double matrix_rate_ = 0;
  double operations_before_ = 0;  // of products, when the last line of metrics was written
  double seconds_aside_ = 0;      // spent on other things than training since then
};

}  // namespace

TrainingResult train(Objective& objective, TorchBackend& backend, const OptimisationOptions& options,
                     const TrainerContext& context) {
  return Run(objective, backend, options, context).finish();
}

}  // namespace capdiff
