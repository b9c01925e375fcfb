#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "capdiff/backends/torch/torch_backend.h"
#include "capdiff/training/objective.h"
#include "capdiff/training/optimisation_options.h"
#include "capdiff/training/ranks.h"

namespace capdiff {

/// What a run gives to the training of one stage.
struct TrainerContext {
  std::string stage;                  ///< for logs and errors
  std::filesystem::path checkpoints;  ///< folder of the stage's checkpoints
  std::filesystem::path metrics;      ///< `metrics.jsonl`
  std::uint64_t seed = 0;
  bool resume = true;        ///< go on from the newest good checkpoint
  int keep_checkpoints = 2;  ///< older ones are removed
  /// Who shares the work. The leader alone writes files and validates.
  std::shared_ptr<Ranks> ranks = std::make_shared<Ranks>();
  /// The share of the learning rate that a tensor gets, by its name; empty: all of it.
  std::function<double(const std::string& name)> rate = {};
  /// Called every `validate_every` steps and after the last, outside training mode, with averaged weights where an
  /// average is kept; the argument counts the steps done. The scores it returns go to `metrics.jsonl`, as "validation".
  std::function<std::map<std::string, double>(std::int64_t step)> validate = {};
  /// 0: never.
  std::int64_t validate_every = 0;
};

struct TrainingResult {
  std::int64_t steps = 0;    ///< optimiser steps, those of earlier runs among them
  std::int64_t skipped = 0;  ///< of these, steps that changed nothing because something was not finite
  double seconds = 0;        ///< spent training, earlier runs included
  /// Mean losses since the last line of `metrics.jsonl` but one; "loss" is the total.
  std::map<std::string, double> losses = {};
};

/// Minimises `objective` over the trainable parameters of `backend` with AdamW. Afterwards the backend holds the
/// trained weights: their moving average where one is kept.
///
/// Every `log_every` steps a line goes to `metrics.jsonl` (`MetricsLog`), every `checkpoint_every` and at the end a
/// checkpoint is written. A run that is stopped and resumed takes the same steps as one that is not: on one CPU thread
/// its weights are the same to the last bit. Each step's samples are shared among the ranks, and its gradients are
/// those of all of them; another run may go on with another number of ranks. A step whose loss or gradients are not
/// finite changes nothing; ten in a row are an `Error(invalid_model)`. On SIGINT and SIGTERM, on any rank, the step
/// under way is finished, a checkpoint is written and `Interrupted` thrown on all.
TrainingResult train(Objective& objective, TorchBackend& backend, const OptimisationOptions& options,
                     const TrainerContext& context);

}  // namespace capdiff
