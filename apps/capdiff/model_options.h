#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "capdiff/backends/backend.h"
#include "capdiff/captioners/captioner.h"
#include "capdiff/selection/clip_selector.h"

namespace capdiff::app {

/// Options of every command that loads a model and captions with it.
struct ModelOptions {
  std::string model;
  std::optional<std::int64_t> steps;
  std::string sampler;
  std::optional<double> eta;
  std::optional<double> guidance;
  std::vector<double> guidance_interval;
  std::optional<double> spacing, time_shift;
  std::optional<std::int64_t> stop_after, freeze_after;
  bool refine = false, no_refine = false;
  std::optional<double> back_time, back_share, min_confidence;
  std::string clamp;
  std::optional<double> clamp_from, clamp_temperature;
  std::optional<std::int64_t> beams, min_length, max_length;
  std::optional<double> length_penalty, repetition_penalty;
  bool sample = false;
  std::optional<double> top_p, temperature;
  std::optional<std::uint64_t> seed;
  std::optional<std::int64_t> candidates;
  std::string select;
  std::string clip;  ///< an option of the commands that choose, which add it themselves
  std::string utility;
  bool fast = false, best = false;
  std::int64_t batch = 16;
  std::string dtype = "auto";
  int threads = 0;
  std::string device = "cpu";
  bool deterministic = false;
};

void add_model_options(CLI::App& command, ModelOptions& options);

/// Puts options that the command has under a heading of their own in its help.
void group_options(CLI::App& command, const char* heading, std::initializer_list<const char*> names);

/// A captioner with everything it stands on.
struct LoadedModel {
  std::filesystem::path path;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Captioner> captioner;
  std::shared_ptr<const ClipSelector> clip;  ///< where one was loaded
  GenerationOptions generation;              ///< the model's defaults under the options given
};

/// `--device`, of every command that computes.
void add_device_option(CLI::App& command, std::string& device);

LoadedModel load_model(const ModelOptions& options);

/// The folder that `-m` names; without it $CAPDIFF_MODEL, models/default beside the program's installation or build
/// tree, then the user's data folder. Throws `Error(not_found)` that lists the places.
std::filesystem::path find_model(const std::string& given);

/// Gives the captioner a CLIP to choose with where `model.generation` says so: that of `--clip DIR`, found as models
/// are, with $CAPDIFF_CLIP and models/clip. Throws `Error(usage)` that lists the places where there is none. With
/// `if_there` also one that nothing asks for is loaded, if there is one. Returns its folder, or an empty path.
std::filesystem::path load_clip(const ModelOptions& options, LoadedModel& model, bool if_there = false);

}  // namespace capdiff::app
