#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "capdiff/formats/json_reader.h"
#include "capdiff/formats/weights_file.h"
#include "capdiff/models/split_bert.h"
#include "capdiff/models/vision_transformer.h"

namespace capdiff {

/// The tensors that a published checkpoint must have, may have, and what becomes of them in a model folder. Whatever is
/// not as expected is an `Error(invalid_model)` that names file, tensor and expectation.
class CheckpointImport {
 public:
  /// Only names that begin with `prefix` are of interest; it is left out of all names from here on.
  CheckpointImport(WeightsFile file, std::string prefix);

  const std::string& source() const { return file_.name(); }
  bool contains(std::string_view name) const { return file_.contains(prefix_ + std::string(name)); }
  /// Size along `axis` of a tensor that must be there with `rank` axes.
  std::int64_t size(std::string_view name, std::size_t rank, std::size_t axis) const;
  /// How many numbered parts there are below `path`: one more than the highest number.
  std::int64_t count(std::string_view path) const;

  /// The tensor must be there with this shape and become `as`. LayerNorm's parameters may have their old names gamma
  /// and beta.
  void keep(const std::string& name, const Shape& shape, const std::string& as);
  /// The same for several tensors of one shape [n, …], which become one [count · n, …] in their order.
  void keep_stacked(const std::vector<std::string>& names, const Shape& shape, const std::string& as);
  /// The same for a matrix of `shape` [n, m] that becomes [m, n].
  void keep_transposed(const std::string& name, const Shape& shape, const std::string& as);
  /// What was kept as `as` is written as what `conversion` makes of its f32 values, of another shape.
  void convert_kept(const std::string& as, const Shape& shape,
                    std::function<HostTensor(const HostTensor& values)> conversion);
  /// Whether two tensors that are there have the same type, shape and bytes.
  bool same(std::string_view a, std::string_view b) const;
  /// The tensor may be there with these sizes, -1 standing for any, and is left out.
  void drop(const std::string& name, const std::vector<std::int64_t>& sizes);
  /// The tensor may be there with one element, and is left out.
  void drop_number(const std::string& name);
  /// Throws for the first tensor whose name begins with `path`, and of which neither was said.
  void require_nothing_else(std::string_view path = "") const;

  /// Writes what is kept as safetensors of one floating-point type, a tensor at a time. Numbers must be finite.
  void write(const std::filesystem::path& path, DType dtype) const;

 private:
  /// What a tensor of the model folder is made of.
  struct Kept {
    std::vector<std::string> parts;  ///< whole old names, to be stacked
    Shape shape;                     ///< of what comes out
    bool transposed = false;
    std::function<HostTensor(const HostTensor&)> conversion = {};
  };

  const TensorType& require(std::string_view name, std::string_view expected) const;
  /// The whole name of a tensor that must be there with this shape.
  std::string take(const std::string& name, const Shape& shape);
  HostTensor assemble(const Kept& kept, DType dtype) const;

  WeightsFile file_;
  std::string prefix_;
  std::map<std::string, Kept> kept_;  // by new name
  std::set<std::string> mentioned_;   // whole old names
};

/// A part of a checkpoint under `from`, to become `to`, or to be left out where there is no `to`.
class ImportScope {
 public:
  ImportScope(CheckpointImport& import, std::string from, std::optional<std::string> to)
      : import_(&import), from_(std::move(from)), to_(std::move(to)) {}

  ImportScope operator/(std::string_view child) const;
  ImportScope operator/(std::int64_t index) const { return *this / std::to_string(index); }

  void tensor(std::string_view name, const Shape& shape) const;
  /// `weight` [out, in] and `bias` [out].
  void linear(std::int64_t in, std::int64_t out) const;
  /// `weight` and `bias` [width].
  void norm(std::int64_t width) const;
  /// A buffer of no use, which not every version of the original has.
  void position_ids() const;

 private:
  CheckpointImport* import_;
  std::string from_;
  std::optional<std::string> to_;
};

/// Sizes of the image encoder at `path`, as its tensors have them; heads and eps are left as they are by default.
VisionTransformerConfig image_encoder_sizes(const CheckpointImport& import, const std::string& path);
void import_image_encoder(const ImportScope& scope, const VisionTransformerConfig& config);

/// Sizes of BERT: embeddings at `embeddings`, a first layer at `layer`. Layers and heads are left as they are.
BertConfig bert_sizes(const CheckpointImport& import, const std::string& embeddings, const std::string& layer);
void import_bert_embeddings(const ImportScope& scope, const BertConfig& config);
/// A layer of BERT; `cross_width` > 0 is the width of what its cross-attention looks at.
void import_bert_layer(const ImportScope& scope, std::int64_t width, std::int64_t intermediate,
                       std::int64_t cross_width = 0);
/// The masked-language head; without a weight of its own the decoder is the table of words at `tied`.
void import_lm_head(CheckpointImport& import, const std::string& from, const std::optional<std::string>& to,
                    const BertConfig& config, const std::optional<std::string>& tied = std::nullopt);

/// What a JSON file says of a part of the model, under the first of `names` that it has.
std::optional<JsonReader> find_section(const std::optional<JsonReader>& json, const std::vector<std::string>& names);
/// `given` (from the command line), else what `section` has under one of `keys`, else `otherwise`. Throws
/// `Error(usage)` where the number does not divide `width`; `option` names the way out.
std::int64_t choose_heads(std::optional<std::int64_t> given, const std::optional<JsonReader>& section,
                          const std::vector<std::string>& keys, std::int64_t otherwise, std::int64_t width,
                          std::string_view option);
/// Throws `Error(invalid_model)` where `section` has another size than the weights.
void require_same_sizes(const std::optional<JsonReader>& section, const std::string& weights,
                        const std::map<std::string, std::int64_t>& sizes);
/// `eps`, or `ln_eps`, of the section, else `otherwise`.
float choose_eps(const std::optional<JsonReader>& section, float otherwise);

/// What a folder has under the first of these names that is there.
std::optional<std::filesystem::path> find_file(const std::filesystem::path& folder,
                                               std::initializer_list<const char*> names);
/// The weights of a checkpoint: the file itself, or that of a folder of the Hugging Face hub.
std::filesystem::path find_weights(const std::filesystem::path& checkpoint);

void write_json(const std::filesystem::path& path, const nlohmann::json& json);

}  // namespace capdiff
