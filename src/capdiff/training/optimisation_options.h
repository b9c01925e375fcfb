#pragma once

#include <cstdint>

#include "capdiff/base/learning_rate.h"
#include "capdiff/formats/json_reader.h"

namespace capdiff {

/// The keys that every training stage of a recipe shares. Either `steps` or `epochs` is given; the other is 0.
struct OptimisationOptions {
  std::int64_t steps = 0;
  double epochs = 0;
  std::int64_t batch = 1;       ///< samples per optimiser step, of all ranks and accumulated batches together
  std::int64_t accumulate = 1;  ///< batches that each rank does one after the other in a step, to save memory
  double learning_rate = 0;
  double warmup = 0;  ///< fraction of all steps
  Decay decay = Decay::linear;
  double weight_decay = 0.01;
  double beta1 = 0.9;                    ///< AdamW's memory of gradients
  double beta2 = 0.999;                  ///< and of their squares; short runs want less
  double gradient_clip = 0;              ///< largest Euclidean norm of all gradients together; 0: not clipped
  double ema = 0;                        ///< decay of the moving average of the weights; 0: none is kept
  bool ema_warmup = true;                ///< whether the average begins with a smaller decay (`MovingAverage`)
  std::int64_t checkpoint_every = 1000;  ///< steps
  std::int64_t log_every = 50;           ///< steps
  int workers = 1;                       ///< threads that prepare batches; batches do not depend on it

  /// Optimiser steps over a data set of `items`, at least one. Throws `Error(usage)` where they are too many to count.
  std::int64_t total_steps(std::int64_t items) const;
  LearningRateSchedule schedule(std::int64_t total_steps) const;
};

/// Reads the shared keys of a stage's table. The keys of the stage itself, and rejecting unknown ones, are the
/// caller's.
OptimisationOptions read_optimisation(const JsonReader& table);

}  // namespace capdiff
