#include "capdiff/captioners/import_clip.h"

#include <spdlog/spdlog.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/captioners/checkpoint_import.h"
#include "capdiff/image/preprocess.h"
#include "capdiff/models/clip.h"
#include "capdiff/text/clip_bpe.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;

/// Of OpenAI's towers.
constexpr std::int64_t kHeadWidth = 64;

/// The parts of both layouts by their names.
struct Layout {
  std::string patches, image_positions, image_blocks, text_positions, tokens, text_blocks, inner, projection;
  std::size_t embed_axis;  ///< of `projection`
};

const Layout kOpenAi{"visual.conv1.weight",
                     "visual.positional_embedding",
                     "visual.transformer.resblocks",
                     "positional_embedding",
                     "token_embedding.weight",
                     "transformer.resblocks",
                     "mlp.c_fc.weight",
                     "text_projection",
                     1};
const Layout kHuggingFace{"vision_model.embeddings.patch_embedding.weight",
                          "vision_model.embeddings.position_embedding.weight",
                          "vision_model.encoder.layers",
                          "text_model.embeddings.position_embedding.weight",
                          "text_model.embeddings.token_embedding.weight",
                          "text_model.encoder.layers",
                          "mlp.fc1.weight",
                          "text_projection.weight",
                          0};

/// What stands before a name that ends so in the file, or nothing where there is none.
std::optional<std::string> prefix_of(const WeightsFile& file, std::string_view name) {
  for (const auto& [whole, type] : file.entries())
    if (whole == name || whole.ends_with("." + std::string(name))) return whole.substr(0, whole.size() - name.size());
  return std::nullopt;
}

/// The files to read, where the weights may be a folder.
struct Sources {
  explicit Sources(const ClipImport& from)
      : weights(find_weights(from.weights)), vocabulary(from.vocabulary), config(from.config) {
    if (!fs::is_directory(from.weights)) return;
    if (!vocabulary) vocabulary = find_file(from.weights, {"merges.txt"});
    if (!config) config = find_file(from.weights, {"config.json"});
    preprocessor = find_file(from.weights, {"preprocessor_config.json"});
  }

  fs::path weights;
  std::optional<fs::path> vocabulary, config, preprocessor;
};

/// Sizes as the tensors have them.
ClipConfig sizes_of(const CheckpointImport& import, const Layout& layout) {
  ClipConfig config;
  config.image.width = import.size(layout.patches, 4, 0);
  config.image.patch = import.size(layout.patches, 4, 3);
  const std::int64_t patches = import.size(layout.image_positions, 2, 0) - 1;
  const auto side = static_cast<std::int64_t>(std::llround(std::sqrt(static_cast<double>(patches))));
  if (side < 1 || side * side != patches)
    fail(ErrorCode::invalid_model, "{}: tensor \"{}\" has {} positions; expected one more than a square",
         import.source(), layout.image_positions, patches + 1);
  config.image.image_size = side * config.image.patch;
  config.image.depth = import.count(layout.image_blocks);
  config.image.mlp = import.size(layout.image_blocks + ".0." + layout.inner, 2, 0);
  config.text.vocab_size = import.size(layout.tokens, 2, 0);
  config.text.width = import.size(layout.tokens, 2, 1);
  config.text.length = import.size(layout.text_positions, 2, 0);
  config.text.depth = import.count(layout.text_blocks);
  config.text.mlp = import.size(layout.text_blocks + ".0." + layout.inner, 2, 0);
  config.embed = import.size(layout.projection, 2, layout.embed_axis);
  return config;
}

/// What a configuration says of CLIP, whoever wrote it.
class Description {
 public:
  explicit Description(const std::optional<fs::path>& path) {
    if (!path) return;
    top_ = JsonReader::open(*path, ErrorCode::invalid_model);
    arguments_ = find_section(top_, {"config"});
    image_ = find_section(top_, {"image_encoder", "vision_config"});
    text_ = find_section(top_, {"text_encoder", "text_config"});
  }

  /// Says how the towers compute, and throws where it has other sizes than the tensors.
  void complete(ClipConfig& config, const ClipImport& from, const std::string& weights) const {
    config.image.heads = heads(from.image_heads, image_, "vision_heads", config.image.width, "--image-heads");
    config.text.heads = heads(from.text_heads, text_, "transformer_heads", config.text.width, "--text-heads");
    config.activation = activation();
    config.eps = choose_eps(top_, config.eps);
    const float image_eps = choose_eps(image_, config.eps), text_eps = choose_eps(text_, config.eps);
    if (image_eps != text_eps)
      fail(ErrorCode::unsupported, "{}: the towers have different layer_norm_eps", top_->source());
    config.eps = image_eps;
    for (const std::optional<JsonReader>& section : {top_, arguments_})
      require_same_sizes(section, weights,
                         {{"embed_dim", config.embed},
                          {"projection_dim", config.embed},
                          {"image_resolution", config.image.image_size},
                          {"vision_layers", config.image.depth},
                          {"vision_width", config.image.width},
                          {"vision_patch_size", config.image.patch},
                          {"context_length", config.text.length},
                          {"vocab_size", config.text.vocab_size},
                          {"transformer_width", config.text.width},
                          {"transformer_layers", config.text.depth}});
    require_same_sizes(image_, weights, tower_sizes(config.image));
    require_same_sizes(
        image_, weights,
        {{"image_size", config.image.image_size}, {"patch", config.image.patch}, {"patch_size", config.image.patch}});
    require_same_sizes(text_, weights, tower_sizes(config.text));
    require_same_sizes(text_, weights,
                       {{"vocab_size", config.text.vocab_size},
                        {"length", config.text.length},
                        {"max_position_embeddings", config.text.length}});
  }

 private:
  template <class Tower>
  static std::map<std::string, std::int64_t> tower_sizes(const Tower& tower) {
    return {{"width", tower.width}, {"hidden_size", tower.width},
            {"depth", tower.depth}, {"num_hidden_layers", tower.depth},
            {"mlp", tower.mlp},     {"intermediate_size", tower.mlp}};
  }

  /// OpenAI's name for them is found at the top, or with the other arguments of its class.
  std::int64_t heads(std::optional<std::int64_t> given, const std::optional<JsonReader>& tower, const char* argument,
                     std::int64_t width, const char* option) const {
    std::int64_t usual = width / kHeadWidth;
    for (const std::optional<JsonReader>& section : {top_, arguments_})
      if (section && section->has(argument)) usual = section->get_int(argument, 1, width);
    return choose_heads(given, tower, {"heads", "num_attention_heads"}, usual, width, option);
  }

  Activation activation() const {
    std::optional<std::string> found;
    for (const auto& [section, key] :
         {std::pair(&top_, "activation"), {&image_, "hidden_act"}, {&text_, "hidden_act"}}) {
      if (!*section || !(*section)->has(key)) continue;
      const std::string said = (*section)->get_choice(key, {"quick_gelu", "gelu"});
      if (found && *found != said)
        fail(ErrorCode::unsupported, "{}: the towers have different activations, {} and {}", top_->source(), *found,
             said);
      found = said;
    }
    return found == "gelu" ? Activation::gelu : Activation::quick_gelu;
  }

  std::optional<JsonReader> top_, arguments_, image_, text_;
};

void import_open_ai_blocks(const ImportScope& blocks, std::int64_t depth, std::int64_t width, std::int64_t mlp) {
  for (std::int64_t i = 0; i < depth; ++i) {
    const ImportScope block = blocks / i;
    (block / "ln_1").norm(width);
    (block / "attn").tensor("in_proj_weight", {3 * width, width});
    (block / "attn").tensor("in_proj_bias", {3 * width});
    (block / "attn" / "out_proj").linear(width, width);
    (block / "ln_2").norm(width);
    (block / "mlp" / "c_fc").linear(width, mlp);
    (block / "mlp" / "c_proj").linear(mlp, width);
  }
}

void import_open_ai(CheckpointImport& import, const ClipConfig& config) {
  const ClipImageConfig& image = config.image;
  const ClipTextConfig& text = config.text;
  const std::int64_t side = image.image_size / image.patch;
  const ImportScope top(import, "", ""), visual = top / "visual";
  visual.tensor("class_embedding", {image.width});
  visual.tensor("positional_embedding", {1 + side * side, image.width});
  visual.tensor("proj", {image.width, config.embed});
  visual.tensor("conv1.weight", {image.width, 3, image.patch, image.patch});
  (visual / "ln_pre").norm(image.width);
  import_open_ai_blocks(visual / "transformer" / "resblocks", image.depth, image.width, image.mlp);
  (visual / "ln_post").norm(image.width);
  top.tensor("token_embedding.weight", {text.vocab_size, text.width});
  top.tensor("positional_embedding", {text.length, text.width});
  import_open_ai_blocks(top / "transformer" / "resblocks", text.depth, text.width, text.mlp);
  (top / "ln_final").norm(text.width);
  top.tensor("text_projection", {text.width, config.embed});
  top.tensor("logit_scale", {});
  // What TorchScript archives have besides: sizes, and the causal mask of every block.
  for (const char* size : {"input_resolution", "context_length", "vocab_size"}) import.drop_number(size);
  for (std::int64_t i = 0; i < text.depth; ++i)
    import.drop(fmt::format("transformer.resblocks.{}.attn_mask", i), {text.length, text.length});
}

void import_hugging_face_blocks(CheckpointImport& import, const std::string& from, const std::string& to,
                                std::int64_t depth, std::int64_t width, std::int64_t mlp) {
  for (std::int64_t i = 0; i < depth; ++i) {
    const std::string there = fmt::format("{}.{}.", from, i), here = fmt::format("{}.{}.", to, i);
    const auto scope = [&](const char* old_name, const char* new_name) {
      return ImportScope(import, there + old_name, here + new_name);
    };
    const auto parts = [&](const char* parameter) {
      std::vector<std::string> names;
      for (const char* part : {"q_proj", "k_proj", "v_proj"})
        names.push_back(fmt::format("{}self_attn.{}.{}", there, part, parameter));
      return names;
    };
    scope("layer_norm1", "ln_1").norm(width);
    import.keep_stacked(parts("weight"), {width, width}, here + "attn.in_proj_weight");
    import.keep_stacked(parts("bias"), {width}, here + "attn.in_proj_bias");
    scope("self_attn.out_proj", "attn.out_proj").linear(width, width);
    scope("layer_norm2", "ln_2").norm(width);
    scope("mlp.fc1", "mlp.c_fc").linear(width, mlp);
    scope("mlp.fc2", "mlp.c_proj").linear(mlp, width);
  }
}

void import_hugging_face(CheckpointImport& import, const ClipConfig& config) {
  const ClipImageConfig& image = config.image;
  const ClipTextConfig& text = config.text;
  const std::int64_t side = image.image_size / image.patch;
  const std::string vision = "vision_model.embeddings.", words = "text_model.embeddings.";
  import.keep(vision + "class_embedding", {image.width}, "visual.class_embedding");
  import.keep(vision + "position_embedding.weight", {1 + side * side, image.width}, "visual.positional_embedding");
  import.keep(vision + "patch_embedding.weight", {image.width, 3, image.patch, image.patch}, "visual.conv1.weight");
  import.drop(vision + "position_ids", {1, -1});
  ImportScope(import, "vision_model.pre_layrnorm", "visual.ln_pre").norm(image.width);  // spelt so
  import_hugging_face_blocks(import, kHuggingFace.image_blocks, kOpenAi.image_blocks, image.depth, image.width,
                             image.mlp);
  ImportScope(import, "vision_model.post_layernorm", "visual.ln_post").norm(image.width);
  import.keep_transposed("visual_projection.weight", {config.embed, image.width}, "visual.proj");

  import.keep(words + "token_embedding.weight", {text.vocab_size, text.width}, "token_embedding.weight");
  import.keep(words + "position_embedding.weight", {text.length, text.width}, "positional_embedding");
  import.drop(words + "position_ids", {1, -1});
  import_hugging_face_blocks(import, kHuggingFace.text_blocks, kOpenAi.text_blocks, text.depth, text.width, text.mlp);
  ImportScope(import, "text_model.final_layer_norm", "ln_final").norm(text.width);
  import.keep_transposed("text_projection.weight", {config.embed, text.width}, "text_projection");
  import.keep("logit_scale", {}, "logit_scale");
}

Preprocessor preprocessor_of(const std::optional<fs::path>& path, const ClipConfig& config) {
  Preprocessor preprocessor;
  preprocessor.size = static_cast<int>(config.image.image_size);
  preprocessor.fit = Preprocessor::Fit::center_crop;
  if (!path) return preprocessor;
  preprocessor = preprocessor_from_json(read_json(*path), path->string());
  if (preprocessor.size != config.image.image_size)
    fail(ErrorCode::invalid_model, "{}: pictures of {} pixels, but the weights are for {}", path->string(),
         preprocessor.size, config.image.image_size);
  return preprocessor;
}

}  // namespace

void import_clip(const ClipImport& from, const fs::path& folder) {
  const Sources sources(from);
  WeightsFile weights = WeightsFile::open(sources.weights);
  const auto open_ai = prefix_of(weights, kOpenAi.patches), hugging_face = prefix_of(weights, kHuggingFace.patches);
  if (!open_ai && !hugging_face)
    fail(ErrorCode::invalid_model, "{}: neither OpenAI's \"{}\" nor Hugging Face's \"{}\" is among the tensors",
         weights.name(), kOpenAi.patches, kHuggingFace.patches);
  if (open_ai && weights.contains(*open_ai + "visual.layer1.0.conv1.weight"))
    fail(ErrorCode::unsupported, "{}: the image tower is a ResNet; only CLIPs with a ViT are supported (ViT-B/32, …)",
         weights.name());
  CheckpointImport import(std::move(weights), open_ai ? *open_ai : *hugging_face);
  ClipConfig config = sizes_of(import, open_ai ? kOpenAi : kHuggingFace);
  Description(sources.config).complete(config, from, import.source());
  if (open_ai)
    import_open_ai(import, config);
  else
    import_hugging_face(import, config);
  import.require_nothing_else();
  const Preprocessor preprocessor = preprocessor_of(sources.preprocessor, config);
  std::optional<ClipBpe> bpe;
  if (sources.vocabulary) bpe = ClipBpe::load(*sources.vocabulary);
  if (bpe && bpe->size() != config.text.vocab_size)
    spdlog::warn("{}: {} tokens, but the weights in {} are for {}; the model will encode pictures only",
                 sources.vocabulary->string(), bpe->size(), import.source(), config.text.vocab_size);

  AtomicFolder out(folder);
  import.write(out.file("model.safetensors"), from.dtype);
  if (bpe) bpe->save(out.file("merges.txt"));
  write_json(out.file("config.json"), config.to_json());
  write_json(out.file("preprocessor_config.json"), to_json(preprocessor));
  out.commit();
}

}  // namespace capdiff
