#include "capdiff/training/prefix_recipe.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"
#include "capdiff/captioners/captioner.h"
#include "capdiff/captioners/checkpoint_import.h"
#include "capdiff/training/model_files.h"
#include "capdiff/training/starting_point.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;

/// The folder whose image tower is used.
fs::path clip_folder(const Recipe& recipe) {
  const std::optional<fs::path> folder = StartingPoint::of(recipe).part("clip");
  if (!folder) fail(ErrorCode::usage, "{}: Prefix-diffusion needs from.clip, a model folder of CLIP", recipe.name());
  return *folder;
}

/// The sizes of CLIP in a model folder of its own or of a Prefix-diffusion.
ClipConfig clip_config(const ModelFolder& folder) {
  const std::string type = folder.config().get_choice("model_type", {"clip", "prefix-diffusion"});
  return type == "clip" ? ClipConfig::from_json(folder.config()) : PrefixConfig::of_folder(folder).clip;
}

/// How a CLIP wants to see pictures.
Preprocessor clip_folder_preprocessor(const ModelFolder& folder, const ClipConfig& config) {
  Preprocessor otherwise;
  otherwise.size = static_cast<int>(config.image_size());
  otherwise.fit = Preprocessor::Fit::center_crop;
  return folder_preprocessor(folder, otherwise, config.image_size());
}

/// [model] and [scheduler] with what they leave to CLIP and the vocabulary.
PrefixConfig described_config(const Recipe& recipe, const ClipConfig& clip, std::int64_t vocab_size) {
  const JsonReader table = recipe.table("model");
  nlohmann::json json = table.json();
  if (json.contains("clip")) fail(ErrorCode::usage, "{}: model.clip: the sizes are those of from.clip", table.source());
  json["clip"] = clip.to_json();
  if (!json.contains("text")) json["text"] = nlohmann::json::object();
  if (json["text"].is_object()) {
    if (json["text"].contains("vocab_size"))
      fail(ErrorCode::usage, "{}: model.text.vocab_size: the size is that of the vocabulary", table.source());
    json["text"]["vocab_size"] = vocab_size;
  }
  const JsonReader model(std::move(json), table.source(), ErrorCode::usage, "model");
  if (!recipe.has("scheduler")) return PrefixConfig::from_json(model, nullptr);
  const JsonReader scheduler = recipe.table("scheduler");
  return PrefixConfig::from_json(model, &scheduler);
}

/// The folder that the model as a whole comes from, where the recipe does not describe one itself.
std::optional<fs::path> whole_model(const Recipe& recipe) {
  return recipe.has("model") ? std::nullopt : StartingPoint::of(recipe).model();
}

/// Whether training withholds photos.
bool drops_photos(const Recipe& recipe) {
  return recipe.has("prefix_diffusion") &&
         recipe.table("prefix_diffusion").get_number("image_drop", 0.0, 1.0, 0.0) > 0.0;
}

WordVocabulary words_of(const Recipe& recipe, const fs::path& run) {
  const std::optional<fs::path> model = StartingPoint::of(recipe).model();
  const bool own = recipe.has("word_vocabulary") || fs::exists(run / kWordsFile) || !model;
  return WordVocabulary::load(own ? run / kWordsFile : *model / "vocab.txt");
}

/// BERT's layers become the lower ones of the denoiser.
void add_bert_layers(ParameterStore& parameters, const SafetensorsFile& file, const PrefixDenoiserConfig& denoiser) {
  bool found = false;
  add_tensors(parameters, file, [&](const std::string& name) -> std::string {
    const std::optional<BertLayerName> parsed = bert_layer(name);
    if (!parsed || parsed->layer >= denoiser.layers) return "";
    found = true;
    const Shape& shape = file.entries().at(name).shape;
    if (parsed->rest == ".intermediate.dense.weight" && shape != Shape{denoiser.intermediate, denoiser.hidden})
      fail(ErrorCode::usage, "{}: layers of {}, but the denoiser's are of {} (intermediate, hidden)", file.name(),
           to_string(shape), to_string(Shape{denoiser.intermediate, denoiser.hidden}));
    return fmt::format("input_transformers.layer.{}{}", parsed->layer, parsed->rest);
  });
  if (!found) fail(ErrorCode::usage, "{}: from.text: there is no layer of BERT in it", file.name());
}

}  // namespace

PrefixParts prefix_parts(const Recipe& recipe, const fs::path& run) {
  WordVocabulary vocabulary = words_of(recipe, run);
  const ModelFolder clip = ModelFolder::open(clip_folder(recipe));
  const std::optional<fs::path> whole = whole_model(recipe);
  PrefixConfig config = whole ? PrefixConfig::of_folder(ModelFolder::open(*whole))
                              : described_config(recipe, clip_config(clip), vocabulary.size());
  if (config.text.vocab_size != vocabulary.size())
    fail(ErrorCode::usage, "the vocabulary has {} words, the model is for {}", vocabulary.size(),
         config.text.vocab_size);
  config.null_image = config.null_image || drops_photos(recipe);
  const Preprocessor preprocessor = clip_folder_preprocessor(clip, config.clip);
  return {std::move(vocabulary), config, preprocessor};
}

void check_prefix_recipe(const Recipe& recipe) {
  clip_folder(recipe);
  if (!whole_model(recipe)) described_config(recipe, ClipConfig(), /*vocab_size=*/1);
}

ParameterStore prefix_parameters(const Recipe& recipe, const PrefixConfig& config) {
  const StartingPoint from = StartingPoint::of(recipe);
  ParameterStore parameters;
  if (from.model())
    add_tensors(parameters, ModelFolder::open(*from.model()).weights(), [](const std::string& name) { return name; });
  add_tensors(parameters, ModelFolder::open(clip_folder(recipe)).weights(),
              [](const std::string& name) { return name.starts_with("visual.") ? name : ""; });
  if (const auto text = from.part("text"); text && text != from.model())
    add_bert_layers(parameters, *from.weights("text"), config.denoiser);
  parameters.initialise_missing(recipe.seed());
  return parameters;
}

void require_image_tower(const ParameterStore& parameters) {
  for (const auto& [name, shape] : parameters.used())
    if (name.starts_with("visual.") && !parameters.contains(name))
      fail(ErrorCode::invalid_model, "from.clip: there is no tensor '{}' of shape {}", name, to_string(shape));
}

EncodedCaptions word_captions(const WordVocabulary& vocabulary, std::int64_t length) {
  return {[&vocabulary, length](std::string_view caption) -> std::vector<std::int64_t> {
            EncodedText encoded = vocabulary.encode(caption, length);
            if (encoded.attention_mask.front() == 0) return {};
            return std::move(encoded.ids);
          },
          length, vocabulary.pad()};
}

void export_prefix(const fs::path& folder, const Recipe& recipe, const fs::path& run,
                   const std::map<std::string, HostTensor>& weights) {
  const PrefixParts parts = prefix_parts(recipe, run);
  AtomicFolder out(folder);
  write_weights(out, clip_weights(weights));
  parts.vocabulary.save(out.file("vocab.txt"));
  write_json(out.file("config.json"), parts.config.to_json());
  write_json(out.file("scheduler_config.json"), parts.config.scheduler_to_json());
  write_json(out.file("preprocessor_config.json"), to_json(parts.preprocessor));
  write_json(out.file("generation_config.json"), generation_settings(recipe));
  out.commit();
}

}  // namespace capdiff
