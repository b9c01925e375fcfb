#include "capdiff/captioners/ladic.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"
#include "capdiff/base/hash.h"
#include "capdiff/base/philox.h"
#include "capdiff/text/detokenise.h"

namespace capdiff {
namespace {

ParameterStore parameters_of(const ModelFolder& folder) {
  ParameterStore store;
  store.add(folder.weights());
  if (!folder.statistics())
    fail(ErrorCode::not_found, "{}: a LaDiC model needs statistics.safetensors", folder.path().string());
  store.add(*folder.statistics(), "statistics.");
  return store;
}

LadicConfig config_of(const ModelFolder& folder) {
  return LadicConfig::from_json(folder.config(), folder.scheduler_config() ? &*folder.scheduler_config() : nullptr);
}

GenerationOptions generation_defaults(const ModelFolder& folder) {
  GenerationOptions options;
  if (const auto& json = folder.generation_config()) {
    options.steps = json->get_int("steps", 1, 1'000'000, options.steps);
    options.guidance = json->get_number("guidance", -100.0, 100.0, options.guidance);
    options.seed = static_cast<std::uint64_t>(
        json->get_int("seed", 0, std::numeric_limits<std::int64_t>::max(), static_cast<std::int64_t>(options.seed)));
    options.candidates = json->get_int("candidates", 1, 1024, options.candidates);
    json->reject_unknown_keys();
  }
  return options;
}

/// x_T [images · candidates, L, D] of deviation `scale`: every picture's noise depends on its own content, the seed and
/// the candidate only.
HostTensor initial_noise(std::span<const Image> images, const GenerationOptions& options, std::int64_t length,
                         std::int64_t width, double scale) {
  HostTensor noise(DType::f32, {static_cast<std::int64_t>(images.size()) * options.candidates, length, width});
  auto out = noise.mutable_values<float>();
  const std::size_t each = static_cast<std::size_t>(length * width);
  std::size_t row = 0;
  for (const Image& image : images) {
    const std::uint64_t content =
        xxh3_64(std::as_bytes(std::span(image.rgb))) ^ static_cast<std::uint64_t>(image.width);
    for (std::int64_t candidate = 0; candidate < options.candidates; ++candidate, ++row)
      NoiseStream(options.seed, content, static_cast<std::uint32_t>(candidate), 0).fill(out.subspan(row * each, each));
  }
  for (float& element : out) element *= static_cast<float>(scale);
  return noise;
}

/// Mean log-probability of the most likely pieces of one caption, logits [L, V] row-major.
double mean_log_confidence(std::span<const float> logits, std::int64_t length) {
  const std::size_t vocabulary = logits.size() / static_cast<std::size_t>(length);
  double sum = 0.0;
  for (std::int64_t l = 0; l < length; ++l) {
    const auto row = logits.subspan(static_cast<std::size_t>(l) * vocabulary, vocabulary);
    const float top = *std::max_element(row.begin(), row.end());
    double total = 0.0;
    for (const float logit : row) total += std::exp(static_cast<double>(logit - top));
    sum -= std::log(total);
  }
  return sum / static_cast<double>(length);
}

}  // namespace

LadicModel::LadicModel(Backend& backend, const ParameterStore& parameters, const LadicConfig& config,
                       const SpecialIds& ids, bool with_text_encoder)
    : backend_(&backend),
      config_(config),
      image_encoder_(make_image_encoder(backend, Scope(parameters) / "visual_encoder", config.image_encoder)),
      text_(backend, Scope(parameters), Scope(parameters) / "statistics", config.text, ids, with_text_encoder),
      denoiser_(backend, Scope(parameters), config.denoiser),
      schedule_(config.schedule) {}

Condition LadicModel::null_condition() const {
  const std::int64_t side = image_encoder_->image_size();
  const Value nothing = backend_->upload(HostTensor(DType::f32, {1, 3, side, side}));
  return denoiser_.condition(image_encoder_->encode(nothing).patches);
}

Value LadicModel::guided(const Value& x_t, const Value& self_condition, std::int64_t t, const Condition& image,
                         const Condition& null, double guidance) const {
  Backend& b = *backend_;
  const std::int64_t rows = x_t.shape()[0];
  const auto times = [&](std::int64_t count) {
    return b.upload(HostTensor::of({count}, std::vector<std::int64_t>(static_cast<std::size_t>(count), t)));
  };
  if (guidance == 0.0) return denoiser_(x_t, self_condition, times(rows), std::array{ConditionedRows{rows, &image}});
  const Value both =
      denoiser_(b.concat(std::array{x_t, x_t}, 0), b.concat(std::array{self_condition, self_condition}, 0),
                times(2 * rows), std::array{ConditionedRows{rows, &image}, ConditionedRows{rows, &null}});
  const Value conditional = b.slice(both, 0, 0, rows);
  const Value unconditional = b.slice(both, 0, rows, 2 * rows);
  return b.scale_add(static_cast<float>(1.0 + guidance), conditional, static_cast<float>(-guidance), unconditional);
}

LadicModel::Losses LadicModel::losses(const Value& x0_predicted, const Value& x0, const Value& ids) const {
  Backend& b = *backend_;
  Losses losses;
  losses.latent = config_.latent_loss == LatentLoss::mean_squared ? b.mean_squared_error(x0_predicted, x0)
                                                                  : b.mean_l2_distance(x0_predicted, x0);
  losses.caption = b.cross_entropy(text_.logits(x0_predicted), ids);
  losses.total = b.scale_add(1.0f, losses.latent, static_cast<float>(config_.caption_loss_weight), losses.caption);
  return losses;
}

LadicCaptioner::LadicCaptioner(const ModelFolder& folder, Backend& backend)
    : backend_(&backend),
      vocabulary_(Vocabulary::load(folder.file("vocab.txt"))),
      preprocessor_(folder.preprocessor_config() ? preprocessor_from_json(folder.preprocessor_config()->json(),
                                                                          folder.preprocessor_config()->source())
                                                 : Preprocessor()),
      model_(backend, parameters_of(folder), config_of(folder),
             {vocabulary_.pad(), vocabulary_.cls(), vocabulary_.sep(), vocabulary_.dot()}, /*with_text_encoder=*/false),
      defaults_(generation_defaults(folder)) {
  if (vocabulary_.size() != model_.config().text.bert.vocab_size)
    fail(ErrorCode::invalid_model, "{}: {} tokens, but config.json has a vocab_size of {}",
         folder.file("vocab.txt").string(), vocabulary_.size(), model_.config().text.bert.vocab_size);
  if (preprocessor_.size != model_.image_encoder().image_size())
    fail(ErrorCode::invalid_model,
         "{}: preprocessor_config.json makes pictures of {} pixels, the image encoder takes {}", folder.path().string(),
         preprocessor_.size, model_.image_encoder().image_size());
}

const Condition& LadicCaptioner::null_condition() {
  if (!null_) null_ = model_.null_condition();
  return *null_;
}

std::vector<Caption> LadicCaptioner::caption(std::span<const Image> images, const GenerationOptions& options) {
  if (images.empty()) return {};
  const std::int64_t length = model_.config().length;
  const Value pixels = backend_->upload(preprocessor_.batch(images));
  const Condition condition = model_.denoiser().condition(model_.image_encoder().encode(pixels).patches);
  const Condition* null = options.guidance == 0.0 ? nullptr : &null_condition();
  const Condition unused;

  const Value noise = backend_->upload(
      initial_noise(images, options, length, model_.text().width(), model_.schedule().config().sample_noise_factor));
  const Value x0 =
      sample_ddim(*backend_, model_.schedule(), options.steps, noise,
                  [&](const Value& x_t, const Value& self_condition, std::int64_t t) {
                    return model_.guided(x_t, self_condition, t, condition, null ? *null : unused, options.guidance);
                  });
  const Value decoded = model_.text().logits(x0);
  const HostTensor logits = backend_->download(decoded);
  const HostTensor ids = backend_->download(backend_->argmax(decoded));

  std::vector<Caption> captions(images.size());
  std::size_t row = 0;
  for (Caption& caption : captions) {
    for (std::int64_t k = 0; k < options.candidates; ++k, ++row) {
      const auto at = static_cast<std::int64_t>(row);
      caption.candidates.push_back(
          {tidy_paper_caption(paper_caption(vocabulary_, ids.slice(at, at + 1).values<std::int64_t>())),
           mean_log_confidence(logits.slice(at, at + 1).values<float>(), length), options.seed});
    }
    caption.text = caption.candidates.front().text;
  }
  return captions;
}

}  // namespace capdiff
