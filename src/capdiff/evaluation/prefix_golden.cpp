#include "capdiff/evaluation/prefix_golden.h"

#include "capdiff/formats/json_reader.h"

namespace capdiff {
namespace {

// Of a tensor's largest number: an order of magnitude above what float32 does to the reference.
constexpr double kForward = 5e-5;
constexpr double kLosses = 1e-5;
constexpr double kGradients = 1e-4;
constexpr double kOptimizer = 1e-5;
/// The gradient of a key's bias is 0, and what float32 makes of it is noise.
constexpr double kKeyBias = 1e-7;

}  // namespace

PrefixGolden::PrefixGolden(const std::filesystem::path& folder)
    : folder_(folder),
      tensors_(SafetensorsFile::open(folder / "golden.safetensors")),
      golden_(read_json(folder / "golden.json")) {}

Tolerance PrefixGolden::tolerance(const std::string& name) const {
  const double magnitude = largest_magnitude(tensors_.tensor(name));
  if (name.starts_with("grad.") && name.ends_with(".attention.self.key.bias")) return {kKeyBias};
  if (name.starts_with("grad.")) return {kGradients * magnitude};
  if (name.starts_with("opt.")) return {kOptimizer * magnitude};
  for (const char* loss : {"train.mse", "train.decoder_nll", "train.tT_loss", "train.loss", "train.loss_mean"})
    if (name == loss) return {kLosses * magnitude};
  return {kForward * magnitude};
}

PrefixConfig PrefixGolden::config(ScheduleKind kind, std::int64_t time_steps) const {
  const nlohmann::json& sizes = golden_.at("config");
  PrefixConfig config = PrefixConfig::of(Profile::released);
  config.length = sizes.at("L");
  config.clip.embed = sizes.at("img");
  config.text.vocab_size = sizes.at("vocab");
  config.text.width = sizes.at("D");
  PrefixDenoiserConfig& denoiser = config.denoiser;
  denoiser.latent = config.text.width;
  denoiser.hidden = sizes.at("hidden");
  denoiser.layers = sizes.at("layers");
  denoiser.heads = sizes.at("heads");
  denoiser.intermediate = sizes.at("inter");
  denoiser.max_position = sizes.at("max_pos");
  denoiser.time_channels = sizes.at("ch");
  denoiser.dropout = 0.0f;
  denoiser.mapper = {.feature = config.clip.embed,
                     .prefix = sizes.at("P"),
                     .hidden = denoiser.hidden,
                     .mlp_width = sizes.at("mid"),
                     .dropout = 0.0f};
  config.schedule.kind = kind;
  config.schedule.time_steps = time_steps;
  return config;
}

PrefixConfig PrefixGolden::training_config() const {
  const nlohmann::json& train = golden_.at("train");
  return config(schedule_kind(train.at("schedule").get<std::string>()), train.at("T"));
}

}  // namespace capdiff
