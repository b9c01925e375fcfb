#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "capdiff/backends/backend.h"
#include "capdiff/formats/json_reader.h"

namespace capdiff {

/// The table [data] of a recipe: what to train on. Paths are relative to `root`, which is $CAPDIFF_DATA where the
/// recipe does not say.
class DataOptions {
 public:
  DataOptions() = default;
  /// `seed` is that of the run.
  DataOptions(const JsonReader& table, std::uint64_t seed);

  /// dataset (whatever `read_dataset` reads), images (its folder, where it does not say itself), unlabelled (a folder
  /// of more pictures), captions (gzipped captions), teacher (a folder with a graph and its weights). Throws
  /// `Error(usage)` where the recipe has no such key.
  std::filesystem::path path(std::string_view key) const;
  bool has(std::string_view key) const { return paths_.contains(key); }
  /// The splits of the dataset that are trained on.
  const std::vector<std::string>& splits() const { return splits_; }
  /// The share of the pictures that is split "val", where the dataset has no splits of its own.
  double validation_share() const { return validation_share_; }
  /// Whether picture number `index` of the training splits is among the share of them that is trained on. Pictures of a
  /// smaller share are among those of a larger one.
  bool trains_on(std::int64_t index) const;

 private:
  std::string source_;
  std::filesystem::path root_;
  std::map<std::string, std::filesystem::path, std::less<>> paths_;
  std::vector<std::string> splits_;
  double validation_share_ = 0;
  double share_ = 1;
  std::uint64_t seed_ = 0;
};

/// A training experiment, as one TOML file. Settings of the whole run stand at the top; [data] says what to train on,
/// [model], [scheduler] and [generation] describe the captioner, and each stage of training has a table of its own.
/// Types are checked and unknown keys rejected, those of nested tables by whoever reads them. Errors are `Error(usage)`
/// and name file and key.
///
/// `base = "other.toml"`, relative to the recipe, takes over whatever that recipe says and this one does not.
/// `data = "…"` is short for the `dataset` of [data].
class Recipe {
 public:
  /// Each override reads "key.path=value"; the value is TOML, and a plain string where it is not.
  static Recipe load(const std::filesystem::path& path, std::span<const std::string> overrides = {});

  const std::string& name() const { return name_; }
  std::uint64_t seed() const { return seed_; }
  /// The run folder: runs/NAME unless the recipe says otherwise.
  const std::filesystem::path& output() const { return output_; }
  /// The arithmetic ("compute": f32 or bf16) and the threads ("threads").
  const BackendOptions& backend() const { return backend_; }
  /// "cpu" or "cuda".
  const std::string& device() const { return device_; }
  /// How many checkpoints of a stage are kept.
  int keep_checkpoints() const { return keep_checkpoints_; }
  /// How long ranks wait for one that does not come, and for a sum.
  std::chrono::seconds rank_timeout() const { return rank_timeout_; }
  const DataOptions& data() const { return data_; }

  bool has(std::string_view table) const;
  /// A table, to be read by whom it concerns. Throws where it is missing.
  JsonReader table(std::string_view name) const;

  /// The recipe in force as TOML: overrides applied, settings of the run spelt out.
  const std::string& toml() const { return toml_; }

 private:
  Recipe(const nlohmann::json& document, const std::filesystem::path& path);

  std::optional<JsonReader> document_;
  std::string name_;
  std::uint64_t seed_ = 0;
  std::filesystem::path output_;
  BackendOptions backend_;
  std::string device_;
  int keep_checkpoints_ = 0;
  std::chrono::seconds rank_timeout_{0};
  DataOptions data_;
  std::string toml_;
};

}  // namespace capdiff
