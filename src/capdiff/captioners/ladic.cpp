#include "capdiff/captioners/ladic.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "capdiff/base/error.h"
#include "capdiff/text/clean_caption.h"
#include "capdiff/text/detokenise.h"
#include "capdiff/text/whole_words.h"

namespace capdiff {
namespace {

ParameterStore ladic_parameters(const ModelFolder& folder) {
  ParameterStore store;
  store.add(folder.weights());
  if (!folder.statistics())
    fail(ErrorCode::not_found, "{}: a LaDiC model needs statistics.safetensors", folder.path().string());
  store.add(*folder.statistics(), "statistics.");
  return store;
}

SpecialIds special_ids_of(const Vocabulary& vocabulary) {
  return {vocabulary.pad(), vocabulary.cls(), vocabulary.sep(), vocabulary.dot()};
}

CaptionLayout ladic_layout(const LadicConfig& config, const Vocabulary& vocabulary) {
  return {.length = config.length,
          .width = config.text.bert.hidden,
          .before = {vocabulary.cls()},
          .after = {vocabulary.sep()},
          .padding = vocabulary.pad(),
          .unknown = vocabulary.unk(),
          .whole_words = whole_words(vocabulary)};
}

}  // namespace

LadicCaptioner::LadicCaptioner(const ModelFolder& folder, Backend& backend)
    : LadicCaptioner(folder, backend, Vocabulary::load(folder.file("vocab.txt")), LadicConfig::of_folder(folder)) {}

LadicCaptioner::LadicCaptioner(const ModelFolder& folder, Backend& backend, Vocabulary vocabulary,
                               const LadicConfig& config)
    : DiffusionCaptioner(backend, ladic_layout(config, vocabulary), folder_generation(folder, config.generation())),
      parameters_(ladic_parameters(folder)),
      tokenizer_(std::move(vocabulary)),
      model_(backend, parameters_, config, special_ids_of(tokenizer_.vocabulary()), /*with_text_encoder=*/false),
      preprocessor_(folder_preprocessor(folder, Preprocessor(), model_.image_encoder().image_size())),
      step_(backend, [this](std::span<const Value> inputs, double guidance) { return estimate(inputs, guidance); }) {
  if (tokenizer_.vocabulary().size() != config.text.bert.vocab_size)
    fail(ErrorCode::invalid_model, "{}: {} tokens, but config.json has a vocab_size of {}",
         folder.file("vocab.txt").string(), tokenizer_.vocabulary().size(), config.text.bert.vocab_size);
}

NoiseLevels LadicCaptioner::noise_levels(const GenerationOptions& options) const {
  const LadicConfig& config = model_.config();
  const std::int64_t T = model_.schedule().time_steps();
  const bool strides = config.time_grid == TimeGrid::stride;
  if (strides && options.spacing != 1.0)
    fail(ErrorCode::unsupported, "--spacing: this model's steps are those of its authors' code, one stride apart");
  return {model_.schedule(), strides ? stride_times(options.steps, T) : ddim_times(options.steps, T, options.spacing),
          NoiseLevels::time_shift_of(options, T, config.time_shift)};
}

/// Looks at the pictures of a batch, and at nothing for the other branch of guidance.
class LadicCaptioner::Network final : public PictureNetwork {
 public:
  Network(LadicCaptioner& captioner, Condition pictures, std::map<std::int64_t, Value> time,
          const GuidanceInterval& guidance)
      : captioner_(captioner), pictures_(std::move(pictures)), time_(std::move(time)), guidance_(guidance) {
    // Each branch of one picture has as many rows: they share one attention rather than halve it.
    if (pictures_.batch == 1 && guidance_.weight != 0.0)
      with_nothing_ = pictures_.followed_by(captioner_.backend(), *captioner_.null_);
  }

  Value operator()(const Value& x_t, const Value& self_condition, std::int64_t t) override {
    std::vector<Value> inputs{x_t, self_condition, time_.at(t)};
    const double weight = guidance_.at(t);
    const auto append = [&](const Condition& condition) {
      std::ranges::copy(condition.values(), std::back_inserter(inputs));
    };
    append(weight != 0.0 && with_nothing_ ? *with_nothing_ : pictures_);
    if (weight != 0.0 && !with_nothing_) append(*captioner_.null_);
    return captioner_.step_(inputs, weight);
  }

  void keep_only(const Value& pictures) override { pictures_ = pictures_.gather(captioner_.backend(), pictures); }

 private:
  LadicCaptioner& captioner_;
  Condition pictures_;
  std::optional<Condition> with_nothing_;  ///< the one picture, then nothing
  std::map<std::int64_t, Value> time_;
  GuidanceInterval guidance_;
};

std::unique_ptr<PictureNetwork> LadicCaptioner::network(std::span<const Image> images, const NoiseLevels& levels,
                                                        const GenerationOptions& options) {
  if (options.clamping.kind != Clamping::Kind::none)
    fail(ErrorCode::unsupported,
         "--clamp: LaDiC's latents are hidden states of sentences; there is no table of words to draw them to");
  const std::vector<std::int64_t> times = levels.told_times();
  const Value told =
      model_.denoiser().time(backend().upload(HostTensor::of({static_cast<std::int64_t>(times.size())}, times)));
  const Value pixels = backend().upload(preprocessor_.batch(images));
  backend().enter(CaptionStage::encoder);
  const ImageTokens tokens = model_.image_encoder().encode(pixels);
  backend().enter(CaptionStage::condition);
  if (options.guidance != 0.0 && !null_) null_ = model_.null_condition();
  return std::make_unique<Network>(*this, model_.denoiser().condition(tokens), rows_by_time(backend(), times, told),
                                   GuidanceInterval(options, levels.schedule.time_steps()));
}

Value LadicCaptioner::estimate(std::span<const Value> inputs, double guidance) const {
  const std::span<const Value> values = inputs.subspan(3);
  const std::size_t each = model_.denoiser().condition_values(), count = values.size() / each;
  const std::int64_t rows = inputs[0].shape()[0] * (guidance == 0.0 ? 1 : 2);
  std::vector<Condition> conditions;
  for (std::size_t i = 0; i < count; ++i) conditions.push_back(Condition::of(values.subspan(i * each, each)));
  std::vector<ConditionedRows> parts;
  for (const Condition& condition : conditions) parts.push_back({rows / static_cast<std::int64_t>(count), &condition});
  return model_.guided(inputs[0], inputs[1], inputs[2], parts, guidance);
}

Value LadicCaptioner::latents(const HostTensor& tokens) {
  model_.load_text_encoder(parameters_);
  HostTensor mask(DType::f32, tokens.shape());
  std::ranges::transform(tokens.values<std::int64_t>(), mask.mutable_values<float>().begin(),
                         [pad = vocabulary().pad()](std::int64_t id) { return id == pad ? 0.0f : 1.0f; });
  return model_.text().encode({tokens, mask});
}

Value LadicCaptioner::latent_of_padding() {
  const SpecialLatent special = model_.config().text.special_latent;
  if (special == SpecialLatent::kept)
    fail(ErrorCode::unsupported, "--length: this model's padding has no latent of its own that could be fixed");
  if (special == SpecialLatent::dot) model_.load_text_encoder(parameters_);
  return model_.text().empty_latent();
}

std::vector<std::int64_t> LadicCaptioner::tokens_of(const std::string& text) const {
  return tokenizer_.tokenize_to_ids(
      clean_caption(text, {.max_words = static_cast<std::size_t>(model_.config().max_words)}));
}

std::string LadicCaptioner::raw_text(std::span<const std::int64_t> tokens) const {
  return paper_caption(vocabulary(), tokens);
}

std::string LadicCaptioner::caption_text(std::span<const std::int64_t> tokens) const {
  return model_.config().caption_text == CaptionText::without_dots
             ? released_caption(vocabulary(), tokens)
             : tidy_paper_caption(paper_caption(vocabulary(), tokens));
}

}  // namespace capdiff
