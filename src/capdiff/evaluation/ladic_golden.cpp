#include "capdiff/evaluation/ladic_golden.h"

#include "capdiff/base/error.h"
#include "capdiff/formats/json_reader.h"
#include "capdiff/formats/weights_file.h"

namespace capdiff {
namespace {

/// The reference's exponential differs from the correctly rounded one by one unit in the last place.
constexpr double kTimeTable = 7e-5;
/// The reference's products of many factors are rounded to float32 after each.
constexpr double kLinearScheduleRelative = 5e-6;
/// Numbers of about 1 that were computed in double precision and stored as float32.
constexpr double kRounding = 1e-6;

/// A bare tensor [D] in a file of its own.
HostTensor bare_tensor(const std::filesystem::path& path) {
  return WeightsFile::open(path).tensor("").to(DType::f32);
}

}  // namespace

LadicGolden::LadicGolden(const std::filesystem::path& folder)
    : folder_(folder),
      tensors_(SafetensorsFile::open(folder / "golden.safetensors")),
      reference_(read_json(folder / "reference.json")),
      golden_(read_json(folder / "golden.json")) {}

Tolerance LadicGolden::tolerance(const std::string& name) const {
  const nlohmann::json& errors = golden_.at("fp32_error");
  if (errors.contains(name)) {
    const double absolute = errors.at(name).at("recommended_atol");
    return {absolute, name == "schedule.linear.alpha_bar" ? kLinearScheduleRelative : 0.0};
  }
  if (name == "schedule.time_table") return {kTimeTable};
  if (name.ends_with(".pixel_values") || name.ends_with(".scores") || name.ends_with(".utility")) return {kRounding};
  fail(ErrorCode::invalid_input, "{}: golden.json recommends no tolerance for {}", folder_.string(), name);
}

const nlohmann::json& LadicGolden::section(Profile profile) const {
  return reference_.at(profile == Profile::released ? "released" : "paper");
}

LadicConfig LadicGolden::config(Profile profile) const {
  const auto& image = reference_.at("image");
  const auto& vit = reference_.at("vit");
  const auto& text = reference_.at("text");
  const auto& diffuser = reference_.at("diffuser");
  const auto& diffusion = reference_.at("diffusion");
  LadicConfig config = LadicConfig::of(profile);
  config.length = text.at("length");
  config.max_words = text.at("max_words");
  VisionTransformerConfig encoder;
  encoder.image_size = image.at("size");
  encoder.patch = image.at("patch");
  encoder.width = vit.at("width");
  encoder.depth = vit.at("depth");
  encoder.heads = vit.at("heads");
  encoder.mlp = vit.at("mlp");
  encoder.eps = vit.at("ln_eps");
  config.image_encoder = encoder;
  BertConfig& bert = config.text.bert;
  bert.vocab_size = text.at("vocab_size");
  bert.hidden = text.at("hidden");
  bert.layers = text.at("layers");
  bert.heads = text.at("heads");
  bert.intermediate = text.at("intermediate");
  bert.max_position = text.at("max_position");
  bert.type_vocab = text.at("type_vocab");
  bert.eps = text.at("ln_eps");
  config.text.encoder_layers = text.at("encoder_layers");
  config.text.decoder_layers = section(profile).at("decoder_layers");
  config.denoiser.latent = bert.hidden;
  config.denoiser.hidden = diffuser.at("hidden");
  config.denoiser.layers = diffuser.at("layers");
  config.denoiser.heads = diffuser.at("heads");
  config.denoiser.intermediate = diffuser.at("intermediate");
  config.denoiser.encoder_width = diffuser.at("encoder_width");
  config.denoiser.max_position = diffuser.at("max_position");
  config.denoiser.time_steps = diffusion.at("T");
  config.denoiser.eps = diffuser.at("ln_eps");
  config.denoiser.time_layer_norm = diffuser.at("time_layer_norm");
  config.schedule.time_steps = diffusion.at("T");
  config.schedule.beta_min = diffusion.at("beta_min");
  config.schedule.beta_max = diffusion.at("beta_max");
  config.schedule.cosine_s = diffusion.at("cosine_s");
  return config;
}

double LadicGolden::guidance(Profile profile) const {
  return section(profile).at("guidance_w");
}

SpecialIds LadicGolden::ids() const {
  const auto& ids = reference_.at("ids");
  return {ids.at("pad"), ids.at("cls"), ids.at("sep"), ids.at("dot")};
}

Preprocessor LadicGolden::preprocessor() const {
  Preprocessor preprocessor;
  preprocessor.size = reference_.at("image").at("size");
  preprocessor.mean = reference_.at("image").at("mean");
  preprocessor.std = reference_.at("image").at("std");
  return preprocessor;
}

ParameterStore LadicGolden::parameters() const {
  ParameterStore store;
  store.add(SafetensorsFile::open(folder_ / "model.safetensors"));
  store.add("statistics.mean", bare_tensor(folder_ / "mean_emb_split.pickle"));
  store.add("statistics.std", bare_tensor(folder_ / "std_emb_split.pickle"));
  return store;
}

TokenBatch LadicGolden::captions() const {
  return {tensor("text.input_ids"), tensor("text.attention_mask").to(DType::f32)};
}

}  // namespace capdiff
