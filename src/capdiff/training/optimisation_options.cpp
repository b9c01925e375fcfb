#include "capdiff/training/optimisation_options.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace capdiff {
namespace {

constexpr std::int64_t kMaxSteps = 1'000'000'000;
constexpr std::int64_t kMaxBatch = 1 << 20;
constexpr double kMaxEpochs = 1e6;

Decay read_decay(const JsonReader& table) {
  const std::string decay = table.get_choice("decay", {"linear", "cosine", "none"}, "linear");
  return decay == "linear" ? Decay::linear : decay == "cosine" ? Decay::cosine : Decay::none;
}

}  // namespace

OptimisationOptions read_optimisation(const JsonReader& table) {
  OptimisationOptions options;
  if (table.has("steps") == table.has("epochs")) {
    fail(ErrorCode::usage, "{}: a training stage needs either steps or epochs, and not both", table.source());
  }
  if (table.has("steps")) {
    options.steps = table.get_int("steps", 1, kMaxSteps);
  } else {
    options.epochs = table.get_number("epochs", 1e-6, kMaxEpochs);
  }
  options.batch = table.get_int("batch", 1, kMaxBatch);
  options.accumulate = table.get_int("accumulate", 1, kMaxBatch, options.accumulate);
  options.learning_rate = table.get_number("learning_rate", 0, 100);
  options.warmup = table.get_number("warmup", 0, 1, options.warmup);
  options.decay = read_decay(table);
  options.weight_decay = table.get_number("weight_decay", 0, 100, options.weight_decay);
  options.beta1 = table.get_number("beta1", 0, 0.999999, options.beta1);
  options.beta2 = table.get_number("beta2", 0, 0.999999, options.beta2);
  options.gradient_clip = table.get_number("gradient_clip", 0, 1e6, options.gradient_clip);
  options.ema = table.get_number("ema", 0, 0.999999, options.ema);
  options.ema_warmup = table.get_bool("ema_warmup", options.ema_warmup);
  options.checkpoint_every = table.get_int("checkpoint_every", 1, kMaxSteps, options.checkpoint_every);
  options.log_every = table.get_int("log_every", 1, kMaxSteps, options.log_every);
  options.workers = static_cast<int>(table.get_int("workers", 1, 256, options.workers));
  return options;
}

std::int64_t OptimisationOptions::total_steps(std::int64_t items) const {
  if (steps > 0) return steps;
  const double count = std::floor(epochs * static_cast<double>(items) / static_cast<double>(batch));
  if (count > static_cast<double>(kMaxSteps)) {
    fail(ErrorCode::usage, "{} epochs of {} items in batches of {} are more than {} steps", epochs, items, batch,
         kMaxSteps);
  }
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(count));
}

LearningRateSchedule OptimisationOptions::schedule(std::int64_t total_steps) const {
  return {learning_rate, total_steps, warmup, decay};
}

}  // namespace capdiff
