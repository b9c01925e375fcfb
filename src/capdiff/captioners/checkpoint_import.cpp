#include "capdiff/captioners/checkpoint_import.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "capdiff/base/error.h"
#include "capdiff/base/progress.h"

namespace capdiff {
namespace {

constexpr std::int64_t kMaxParts = 256;

bool is_floating(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f64 || dtype == DType::f16 || dtype == DType::bf16;
}

/// "LayerNorm.gamma" of "LayerNorm.weight", and so on; empty for other names.
std::string old_norm_name(const std::string& name) {
  for (const auto& [now, before] : {std::pair("LayerNorm.weight", "gamma"), {"LayerNorm.bias", "beta"}})
    if (name.ends_with(now)) return name.substr(0, name.rfind('.') + 1) + before;
  return {};
}

std::string sizes_text(const std::vector<std::int64_t>& sizes) {
  std::vector<std::string> texts;
  for (const std::int64_t size : sizes) texts.push_back(size < 0 ? "any" : std::to_string(size));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

bool matches(const Shape& shape, const std::vector<std::int64_t>& sizes) {
  return std::equal(shape.sizes().begin(), shape.sizes().end(), sizes.begin(), sizes.end(),
                    [](std::int64_t actual, std::int64_t expected) { return expected < 0 || actual == expected; });
}

}  // namespace

CheckpointImport::CheckpointImport(WeightsFile file, std::string prefix)
    : file_(std::move(file)), prefix_(std::move(prefix)) {}

const TensorType& CheckpointImport::require(std::string_view name, std::string_view expected) const {
  const auto found = file_.entries().find(prefix_ + std::string(name));
  if (found == file_.entries().end())
    fail(ErrorCode::invalid_model, "{}: there is no tensor \"{}{}\"; expected one of {}", source(), prefix_, name,
         expected);
  return found->second;
}

std::int64_t CheckpointImport::size(std::string_view name, std::size_t rank, std::size_t axis) const {
  const TensorType& type = require(name, fmt::format("{} axes", rank));
  if (type.shape.rank() != rank)
    fail(ErrorCode::invalid_model, "{}: tensor \"{}{}\" has shape {}; expected {} axes", source(), prefix_, name,
         to_string(type.shape), rank);
  if (type.shape.numel() == 0) fail(ErrorCode::invalid_model, "{}: tensor \"{}{}\" is empty", source(), prefix_, name);
  return type.shape.sizes()[axis];
}

std::int64_t CheckpointImport::count(std::string_view path) const {
  const std::string begin = fmt::format("{}{}.", prefix_, path);
  std::int64_t parts = 0;
  for (auto entry = file_.entries().lower_bound(begin);
       entry != file_.entries().end() && entry->first.starts_with(begin); ++entry) {
    std::int64_t index = -1;
    const char* const end = entry->first.data() + entry->first.size();
    const auto [stop, error] = std::from_chars(entry->first.data() + begin.size(), end, index);
    if (error != std::errc() || stop == end || *stop != '.' || index < 0 || index >= kMaxParts)
      fail(ErrorCode::invalid_model, "{}: unexpected tensor \"{}\"; expected a number from 0 to {} after \"{}\"",
           source(), entry->first, kMaxParts - 1, begin);
    parts = std::max(parts, index + 1);
  }
  return parts;
}

std::string CheckpointImport::take(const std::string& name, const Shape& shape) {
  const std::string before = old_norm_name(name);
  const std::string& there = !contains(name) && !before.empty() && contains(before) ? before : name;
  const TensorType& type = require(there, fmt::format("shape {}", to_string(shape)));
  if (type.shape != shape)
    fail(ErrorCode::invalid_model, "{}: tensor \"{}{}\" has shape {}; expected {}", source(), prefix_, there,
         to_string(type.shape), to_string(shape));
  if (!is_floating(type.dtype))
    fail(ErrorCode::invalid_model, "{}: tensor \"{}{}\" has elements of type {}; expected a floating-point type",
         source(), prefix_, there, name_of(type.dtype));
  mentioned_.insert(prefix_ + there);
  return prefix_ + there;
}

void CheckpointImport::keep(const std::string& name, const Shape& shape, const std::string& as) {
  kept_[as] = {{take(name, shape)}, shape};
}

void CheckpointImport::keep_stacked(const std::vector<std::string>& names, const Shape& shape, const std::string& as) {
  std::vector<std::int64_t> sizes = shape.sizes();
  sizes.at(0) *= static_cast<std::int64_t>(names.size());
  Kept kept{{}, Shape(sizes)};
  for (const std::string& name : names) kept.parts.push_back(take(name, shape));
  kept_[as] = std::move(kept);
}

void CheckpointImport::keep_transposed(const std::string& name, const Shape& shape, const std::string& as) {
  kept_[as] = {{take(name, shape)}, {shape[1], shape[0]}, true};
}

void CheckpointImport::convert_kept(const std::string& as, const Shape& shape,
                                    std::function<HostTensor(const HostTensor& values)> conversion) {
  Kept& kept = kept_.at(as);
  kept.shape = shape;
  kept.conversion = std::move(conversion);
}

bool CheckpointImport::same(std::string_view a, std::string_view b) const {
  const TensorType &first = require(a, "a tensor"), &second = require(b, "a tensor");
  if (first.dtype != second.dtype || first.shape != second.shape) return false;
  const HostTensor one = file_.tensor(prefix_ + std::string(a)), other = file_.tensor(prefix_ + std::string(b));
  return std::ranges::equal(one.bytes(), other.bytes());
}

void CheckpointImport::drop(const std::string& name, const std::vector<std::int64_t>& sizes) {
  const std::string before = old_norm_name(name);
  const std::string& there = !contains(name) && !before.empty() && contains(before) ? before : name;
  if (!contains(there)) return;
  const TensorType& type = require(there, sizes_text(sizes));
  if (!matches(type.shape, sizes))
    fail(ErrorCode::invalid_model, "{}: tensor \"{}{}\" has shape {}; expected {}", source(), prefix_, there,
         to_string(type.shape), sizes_text(sizes));
  mentioned_.insert(prefix_ + there);
}

void CheckpointImport::drop_number(const std::string& name) {
  if (!contains(name)) return;
  const TensorType& type = require(name, "one element");
  if (type.shape.numel() != 1)
    fail(ErrorCode::invalid_model, "{}: tensor \"{}{}\" has shape {}; expected one element", source(), prefix_, name,
         to_string(type.shape));
  mentioned_.insert(prefix_ + name);
}

void CheckpointImport::require_nothing_else(std::string_view path) const {
  const std::string begin = prefix_ + std::string(path);
  for (auto entry = file_.entries().lower_bound(begin);
       entry != file_.entries().end() && entry->first.starts_with(begin); ++entry)
    if (!mentioned_.contains(entry->first))
      fail(ErrorCode::invalid_model, "{}: unexpected tensor \"{}\" of shape {}; expected none of this name", source(),
           entry->first, to_string(entry->second.shape));
}

HostTensor CheckpointImport::assemble(const Kept& kept, DType dtype) const {
  std::vector<HostTensor> parts;
  for (const std::string& name : kept.parts) {
    parts.push_back(file_.tensor(name).to(dtype));
    require_finite(parts.back(), name, source());
  }
  if (kept.conversion) return kept.conversion(parts.front().to(DType::f32)).to(dtype);
  if (kept.transposed) return parts.front().transposed();
  if (parts.size() == 1) return parts.front();
  HostTensor stacked(dtype, kept.shape);
  auto out = stacked.mutable_bytes().begin();
  for (const HostTensor& part : parts) out = std::ranges::copy(part.bytes(), out).out;
  return stacked;
}

void CheckpointImport::write(const std::filesystem::path& path, DType dtype) const {
  std::map<std::string, TensorType> types;
  for (const auto& [name, kept] : kept_) types.emplace(name, TensorType{dtype, kept.shape});
  Progress progress("converting", types.size());
  write_safetensors(path, types,
                    [&](const std::string& name) {
                      file_.forget_pages();
                      progress.advance();
                      return assemble(kept_.at(name), dtype);
                    },
                    {{"format", "pt"}, {"producer", "capdiff " CAPDIFF_VERSION}});
}

ImportScope ImportScope::operator/(std::string_view child) const {
  const auto joined = [&](const std::string& path) {
    return path.empty() ? std::string(child) : fmt::format("{}.{}", path, child);
  };
  return {*import_, joined(from_), to_ ? std::optional(joined(*to_)) : std::nullopt};
}

void ImportScope::tensor(std::string_view name, const Shape& shape) const {
  const ImportScope place = *this / name;
  if (to_)
    import_->keep(place.from_, shape, *place.to_);
  else
    import_->drop(place.from_, shape.sizes());
}

void ImportScope::linear(std::int64_t in, std::int64_t out) const {
  tensor("weight", {out, in});
  tensor("bias", {out});
}

void ImportScope::norm(std::int64_t width) const {
  tensor("weight", {width});
  tensor("bias", {width});
}

void ImportScope::position_ids() const {
  import_->drop((*this / "position_ids").from_, {1, -1});
}

VisionTransformerConfig image_encoder_sizes(const CheckpointImport& import, const std::string& path) {
  VisionTransformerConfig config;
  config.width = import.size(path + ".cls_token", 3, 2);
  config.patch = import.size(path + ".patch_embed.proj.weight", 4, 3);
  const std::int64_t patches = import.size(path + ".pos_embed", 3, 1) - 1;
  const auto side = static_cast<std::int64_t>(std::llround(std::sqrt(static_cast<double>(patches))));
  if (side < 1 || side * side != patches)
    fail(ErrorCode::invalid_model, "{}: tensor \"{}.pos_embed\" has {} positions; expected one more than a square",
         import.source(), path, patches + 1);
  config.image_size = side * config.patch;
  config.depth = import.count(path + ".blocks");
  config.mlp = import.size(path + ".blocks.0.mlp.fc1.weight", 2, 0);
  return config;
}

void import_image_encoder(const ImportScope& scope, const VisionTransformerConfig& config) {
  const std::int64_t width = config.width, side = config.image_size / config.patch;
  scope.tensor("cls_token", {1, 1, width});
  scope.tensor("pos_embed", {1, 1 + side * side, width});
  const ImportScope proj = scope / "patch_embed" / "proj";
  proj.tensor("weight", {width, 3, config.patch, config.patch});
  proj.tensor("bias", {width});
  for (std::int64_t i = 0; i < config.depth; ++i) {
    const ImportScope block = scope / "blocks" / i;
    (block / "norm1").norm(width);
    (block / "attn" / "qkv").linear(width, 3 * width);
    (block / "attn" / "proj").linear(width, width);
    (block / "norm2").norm(width);
    (block / "mlp" / "fc1").linear(width, config.mlp);
    (block / "mlp" / "fc2").linear(config.mlp, width);
  }
  (scope / "norm").norm(width);
}

BertConfig bert_sizes(const CheckpointImport& import, const std::string& embeddings, const std::string& layer) {
  BertConfig config;
  config.vocab_size = import.size(embeddings + ".word_embeddings.weight", 2, 0);
  config.hidden = import.size(embeddings + ".word_embeddings.weight", 2, 1);
  config.max_position = import.size(embeddings + ".position_embeddings.weight", 2, 0);
  config.type_vocab = import.size(embeddings + ".token_type_embeddings.weight", 2, 0);
  config.intermediate = import.size(layer + ".intermediate.dense.weight", 2, 0);
  return config;
}

void import_bert_embeddings(const ImportScope& scope, const BertConfig& config) {
  scope.position_ids();
  (scope / "word_embeddings").tensor("weight", {config.vocab_size, config.hidden});
  (scope / "position_embeddings").tensor("weight", {config.max_position, config.hidden});
  (scope / "token_type_embeddings").tensor("weight", {config.type_vocab, config.hidden});
  (scope / "LayerNorm").norm(config.hidden);
}

void import_bert_layer(const ImportScope& scope, std::int64_t width, std::int64_t intermediate,
                       std::int64_t cross_width) {
  const auto attention = [&](const ImportScope& place, std::int64_t from) {
    (place / "self" / "query").linear(width, width);
    (place / "self" / "key").linear(from, width);
    (place / "self" / "value").linear(from, width);
    (place / "output" / "dense").linear(width, width);
    (place / "output" / "LayerNorm").norm(width);
  };
  attention(scope / "attention", width);
  if (cross_width > 0) attention(scope / "crossattention", cross_width);
  (scope / "intermediate" / "dense").linear(width, intermediate);
  (scope / "output" / "dense").linear(intermediate, width);
  (scope / "output" / "LayerNorm").norm(width);
}

void import_lm_head(CheckpointImport& import, const std::string& from, const std::optional<std::string>& to,
                    const BertConfig& config, const std::optional<std::string>& tied) {
  const ImportScope scope(import, from, to);
  (scope / "transform" / "dense").linear(config.hidden, config.hidden);
  (scope / "transform" / "LayerNorm").norm(config.hidden);
  scope.tensor("bias", {config.vocab_size});
  import.drop(from + ".decoder.bias", {config.vocab_size});  // the same once more
  if (to && tied && !import.contains(from + ".decoder.weight"))
    import.keep(*tied, {config.vocab_size, config.hidden}, *to + ".decoder.weight");
  else
    (scope / "decoder").tensor("weight", {config.vocab_size, config.hidden});
}

std::optional<JsonReader> find_section(const std::optional<JsonReader>& json, const std::vector<std::string>& names) {
  for (const std::string& name : names)
    if (json && json->has(name)) return json->get_object(name);
  return std::nullopt;
}

std::int64_t choose_heads(std::optional<std::int64_t> given, const std::optional<JsonReader>& section,
                          const std::vector<std::string>& keys, std::int64_t otherwise, std::int64_t width,
                          std::string_view option) {
  std::int64_t heads = otherwise;
  for (const std::string& key : keys)
    if (section && section->has(key)) heads = section->get_int(key, 1, width);
  if (given) heads = *given;
  if (heads < 1 || width % heads != 0)
    fail(ErrorCode::usage, "a width of {} cannot be shared by {} heads; say how many there are with {} or --config",
         width, heads, option);
  return heads;
}

void require_same_sizes(const std::optional<JsonReader>& section, const std::string& weights,
                        const std::map<std::string, std::int64_t>& sizes) {
  if (!section) return;
  for (const auto& [key, size] : sizes)
    if (const std::int64_t said = section->get_int(key, 0, INT64_MAX, size); said != size)
      fail(ErrorCode::invalid_model, "{}: \"{}{}{}\" is {}, but the weights in {} have {}", section->source(),
           section->path(), section->path().empty() ? "" : ".", key, said, weights, size);
}

float choose_eps(const std::optional<JsonReader>& section, float otherwise) {
  for (const char* key : {"eps", "ln_eps", "layer_norm_eps"})
    if (section && section->has(key)) return static_cast<float>(section->get_number(key, 0.0, 1.0));
  return otherwise;
}

std::optional<std::filesystem::path> find_file(const std::filesystem::path& folder,
                                               std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (std::filesystem::exists(folder / name)) return folder / name;
  return std::nullopt;
}

std::filesystem::path find_weights(const std::filesystem::path& checkpoint) {
  if (!std::filesystem::is_directory(checkpoint)) return checkpoint;
  const auto found = find_file(checkpoint, {"model.safetensors", "pytorch_model.bin"});
  if (!found)
    fail(ErrorCode::not_found, "{}: neither model.safetensors nor pytorch_model.bin is in this folder",
         checkpoint.string());
  return *found;
}

void write_json(const std::filesystem::path& path, const nlohmann::json& json) {
  write_file_atomically(path, json.dump(2) + "\n");
}

}  // namespace capdiff
