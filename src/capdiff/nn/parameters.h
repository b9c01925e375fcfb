#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "capdiff/backends/backend.h"
#include "capdiff/formats/safetensors.h"

namespace capdiff {

/// How a parameter begins when no file provides it.
struct Init {
  enum class Kind { constant, normal };
  Kind kind = Kind::constant;
  float value = 0.0f;  ///< the constant, or the standard deviation

  static Init zeros() { return {Kind::constant, 0.0f}; }
  static Init ones() { return {Kind::constant, 1.0f}; }
  static Init normal(float standard_deviation) { return {Kind::normal, standard_deviation}; }
};

/// Where a model's parameters come from: weight files, and for training from nothing a seed that initialises what no
/// file has. Models ask by name, shape and initialisation, so their constructors are the one place that states all
/// three.
class ParameterStore {
 public:
  ParameterStore() = default;

  /// Adds a file; later files win over earlier ones. `prefix` is put before the file's own names.
  void add(SafetensorsFile file, std::string prefix = "");
  /// Adds one tensor under its full name.
  void add(std::string name, HostTensor value);
  /// From now on, what is in no file is drawn from N(0, std²) or set to its constant, keyed by (seed, name).
  void initialise_missing(std::uint64_t seed) { seed_ = seed; }

  bool contains(const std::string& name) const;
  /// Throws `Error(invalid_model)` for a missing tensor, a wrong shape or a value that is not finite, naming file and
  /// tensor.
  Parameter get(const std::string& name, const Shape& shape, Init init) const;
  /// What models have got so far, by name: the parameters that a file has to hold for them.
  const std::map<std::string, Shape>& used() const { return used_; }

 private:
  Parameter find(const std::string& name, const Shape& shape, Init init) const;

  struct Source {
    SafetensorsFile file;
    std::string prefix;
  };
  std::vector<Source> sources_;
  std::map<std::string, HostTensor> tensors_;
  std::optional<std::uint64_t> seed_;
  mutable std::map<std::string, Shape> used_;
};

/// A position in the tree of names: `(scope / "attention" / "self").get("query.weight", …)`.
class Scope {
 public:
  explicit Scope(const ParameterStore& store, std::string path = "") : store_(&store), path_(std::move(path)) {}

  Scope operator/(std::string_view child) const { return Scope(*store_, joined(child)); }
  Scope operator/(std::int64_t index) const { return *this / std::to_string(index); }

  Parameter get(std::string_view name, const Shape& shape, Init init) const {
    return store_->get(joined(name), shape, init);
  }
  bool contains(std::string_view name) const { return store_->contains(joined(name)); }

 private:
  std::string joined(std::string_view name) const {
    return path_.empty() ? std::string(name) : path_ + "." + std::string(name);
  }

  const ParameterStore* store_;
  std::string path_;
};

}  // namespace capdiff
