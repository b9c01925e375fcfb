#include "capdiff/captioners/prefix_diffusion.h"

#include <array>
#include <map>

#include "capdiff/base/error.h"
#include "capdiff/text/detokenise.h"

namespace capdiff {
namespace {

CaptionLayout prefix_layout(const PrefixConfig& config, const WordVocabulary& vocabulary) {
  CaptionLayout layout{.length = config.length,
                       .width = config.text.width,
                       .before = {},
                       .after = {},
                       .padding = vocabulary.pad(),
                       .unknown = vocabulary.unk(),
                       .whole_words = {}};
  for (std::int64_t id = 0; id < vocabulary.size(); ++id) layout.whole_words.push_back(!vocabulary.is_special(id));
  return layout;
}

}  // namespace

ParameterStore prefix_parameters(const ModelFolder& folder) {
  ParameterStore store;
  store.add(folder.weights());
  return store;
}

PrefixDiffusionCaptioner::PrefixDiffusionCaptioner(const ModelFolder& folder, Backend& backend)
    : PrefixDiffusionCaptioner(folder, backend, WordVocabulary::load(folder.file("vocab.txt")),
                               PrefixConfig::of_folder(folder)) {}

PrefixDiffusionCaptioner::PrefixDiffusionCaptioner(const ModelFolder& folder, Backend& backend,
                                                   WordVocabulary vocabulary, const PrefixConfig& config)
    : DiffusionCaptioner(backend, prefix_layout(config, vocabulary), folder_generation(folder, config.generation())),
      parameters_(prefix_parameters(folder)),
      vocabulary_(std::move(vocabulary)),
      model_(backend, parameters_, config, /*with_image_tower=*/true),
      clamp_(backend, model_.words().table()),
      preprocessor_(folder_preprocessor(folder, Preprocessor(), model_.image_size())),
      step_(backend, [this](std::span<const Value> inputs, double guidance) {
        const Prefix prefix{inputs[2]};
        return model_.guided(inputs[0], inputs[1], prefix, guidance != 0.0 ? &*null_ : nullptr, guidance);
      }) {
  if (vocabulary_.size() != config.text.vocab_size)
    fail(ErrorCode::invalid_model, "{}: {} words, but config.json has a vocab_size of {}",
         folder.file("vocab.txt").string(), vocabulary_.size(), config.text.vocab_size);
}

NoiseLevels PrefixDiffusionCaptioner::noise_levels(const GenerationOptions& options) const {
  if (options.spacing != 1.0)
    fail(ErrorCode::unsupported, "--spacing: the steps of Prefix-diffusion are those of its respaced schedule");
  NoiseSchedule schedule = model_.schedule();
  if (model_.config().respacing != Respacing::stride) {
    NoiseScheduleConfig rebuilt = schedule.config();
    rebuilt.time_steps = options.steps;
    schedule = NoiseSchedule(rebuilt);
  }
  const std::int64_t T = schedule.time_steps();
  return {std::move(schedule), respaced_times(options.steps, T), NoiseLevels::time_shift_of(options, T, 0)};
}

/// Has the tokens of the pictures' features stand before the captions.
class PrefixDiffusionCaptioner::Network final : public PictureNetwork {
 public:
  Network(PrefixDiffusionCaptioner& captioner, Prefix pictures, std::map<std::int64_t, Value> time,
          std::int64_t time_steps, const GenerationOptions& options)
      : captioner_(captioner),
        pictures_(std::move(pictures)),
        time_(std::move(time)),
        time_steps_(time_steps),
        clamping_(options.clamping),
        guidance_(options, time_steps) {}

  Value operator()(const Value& x_t, const Value& /*self_condition*/, std::int64_t t) override {
    const Value x0 = captioner_.step_(std::array{x_t, time_.at(t), pictures_.tokens}, guidance_.at(t));
    return clamping_.acts_at(t, time_steps_) ? captioner_.clamp_(x0, clamping_) : x0;
  }

  void keep_only(const Value& pictures) override {
    pictures_.tokens = captioner_.backend().gather(pictures_.tokens, pictures);
  }

 private:
  PrefixDiffusionCaptioner& captioner_;
  Prefix pictures_;
  std::map<std::int64_t, Value> time_;
  std::int64_t time_steps_;
  Clamping clamping_;
  GuidanceInterval guidance_;
};

std::unique_ptr<PictureNetwork> PrefixDiffusionCaptioner::network(std::span<const Image> images,
                                                                  const NoiseLevels& levels,
                                                                  const GenerationOptions& options) {
  if (options.guidance != 0.0 && !model_.config().null_image)
    fail(ErrorCode::unsupported,
         "--guidance {}: this model has never seen captions without a picture, which is what guidance leads away from",
         options.guidance);
  if (options.guidance != 0.0 && !null_) null_ = model_.null_prefix();
  const std::int64_t T = levels.schedule.time_steps();
  const std::vector<std::int64_t> times = levels.told_times();
  const Value told =
      model_.denoiser().time(scaled_times(HostTensor::of({static_cast<std::int64_t>(times.size())}, times), T));
  const Value pixels = backend().upload(preprocessor_.batch(images));
  backend().enter(CaptionStage::encoder);
  const Value feature = model_.image_feature(pixels);
  backend().enter(CaptionStage::condition);
  return std::make_unique<Network>(*this, model_.denoiser().prefix(feature), rows_by_time(backend(), times, told), T,
                                   options);
}

Value PrefixDiffusionCaptioner::latent_of_padding() {
  const Value padding = latents(HostTensor::of({1}, std::vector<std::int64_t>{vocabulary_.pad()}));
  return backend().reshape(padding, {model_.words().width()});
}

std::vector<std::int64_t> PrefixDiffusionCaptioner::tokens_of(const std::string& text) const {
  std::vector<std::int64_t> tokens;
  for (const std::string& word : caption_words(text)) tokens.push_back(vocabulary_.id(word));
  return tokens;
}

std::string PrefixDiffusionCaptioner::raw_text(std::span<const std::int64_t> tokens) const {
  return vocabulary_.text(tokens);
}

std::string PrefixDiffusionCaptioner::caption_text(std::span<const std::int64_t> tokens) const {
  const std::string words = without_stutter(vocabulary_.text(tokens));
  return model_.config().word_case == WordCase::sentence ? released_sentence(words) : words;
}

}  // namespace capdiff
