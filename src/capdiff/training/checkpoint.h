#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "capdiff/formats/safetensors.h"
#include "capdiff/tensor/host_tensor.h"

namespace capdiff {

/// Where a training run stands after `step` optimiser steps: all that is not a tensor.
struct TrainingState {
  std::int64_t step = 0;
  std::uint64_t draw = 0;  ///< samples drawn so far, which is also the position in the epoch
  std::int64_t items = 0;  ///< size of the data set
  std::uint64_t seed = 0;
  std::int64_t skipped = 0;  ///< steps that changed nothing because something was not finite
  double seconds = 0;        ///< spent training
};

/// A complete checkpoint on disk.
struct Checkpoint {
  std::filesystem::path path;
  TrainingState state;
  /// By name: "weights", "optimizer", and "ema" where one is kept.
  std::map<std::string, SafetensorsFile> files;

  /// Throws `Error(invalid_model)` where the checkpoint has no such file.
  const SafetensorsFile& file(const std::string& name) const;
};

/// Tensors of a checkpoint, by file name without extension and then by name.
using CheckpointTensors = std::map<std::string, std::map<std::string, HostTensor>>;

/// Writes `folder`/step-000123/ with one safetensors file per entry and `state.json`, which holds the XXH3 of each
/// tensor. The checkpoint is made under a hidden name, flushed to disk and renamed, so it is there whole or not at all.
/// Then removes all but the `keep` newest. Throws `Error(io)`, on a full disk for example, leaving earlier checkpoints
/// as they were and nothing else.
void save_checkpoint(const std::filesystem::path& folder, const TrainingState& state, const CheckpointTensors& tensors,
                     int keep = 2);

/// Where the checkpoint of a step is, or would be, below `folder`.
std::filesystem::path checkpoint_path(const std::filesystem::path& folder, std::int64_t step);

/// Opens one checkpoint. Throws `Error(not_found)` where there is none, and `Error(invalid_model)` where a file does
/// not have the content that it was written with.
Checkpoint read_checkpoint(const std::filesystem::path& path);

/// The newest checkpoint below `folder` whose tensors are those that were written. Others are passed over
/// with a warning that names them and says why. Nothing where there is none.
std::optional<Checkpoint> latest_checkpoint(const std::filesystem::path& folder);

}  // namespace capdiff
