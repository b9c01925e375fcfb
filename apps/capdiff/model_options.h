#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "capdiff/backends/backend.h"
#include "capdiff/captioners/captioner.h"

namespace capdiff::app {

/// Options of every command that loads a model and captions with it.
struct ModelOptions {
  std::string model;
  std::optional<std::int64_t> steps;
  std::string sampler;
  std::optional<double> eta;
  std::optional<double> guidance;
  std::vector<double> guidance_interval;
  bool refine = false, no_refine = false;
  std::optional<double> back_time, back_share, min_confidence;
  std::string clamp;
  std::optional<double> clamp_from, clamp_temperature;
  std::optional<std::uint64_t> seed;
  std::optional<std::int64_t> candidates;
  std::string select;
  std::string utility;
  bool fast = false, best = false;
  std::int64_t batch = 16;
  std::string dtype = "auto";
  int threads = 0;
  std::string device = "cpu";
  bool deterministic = false;
};

void add_model_options(CLI::App& command, ModelOptions& options);

/// A captioner with everything it stands on.
struct LoadedModel {
  std::filesystem::path path;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Captioner> captioner;
  GenerationOptions generation;  ///< the model's defaults under the options given
};

LoadedModel load_model(const ModelOptions& options);

/// The folder that `-m` names; without it $CAPDIFF_MODEL, models/default beside the program's installation or build
/// tree, then the user's data folder. Throws `Error(not_found)` that lists the places.
std::filesystem::path find_model(const std::string& given);

}  // namespace capdiff::app
