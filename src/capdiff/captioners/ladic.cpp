#include "capdiff/captioners/ladic.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "capdiff/base/error.h"
#include "capdiff/base/hash.h"
#include "capdiff/base/philox.h"
#include "capdiff/text/clean_caption.h"
#include "capdiff/text/detokenise.h"
#include "capdiff/text/whole_words.h"

namespace capdiff {
namespace {

constexpr std::size_t kMaxFillings = 4096;  ///< rows of one call of `fill`

ParameterStore parameters_of(const ModelFolder& folder) {
  ParameterStore store;
  store.add(folder.weights());
  if (!folder.statistics())
    fail(ErrorCode::not_found, "{}: a LaDiC model needs statistics.safetensors", folder.path().string());
  store.add(*folder.statistics(), "statistics.");
  return store;
}

SpecialIds special_ids(const Vocabulary& vocabulary) {
  return {vocabulary.pad(), vocabulary.cls(), vocabulary.sep(), vocabulary.dot()};
}

std::uint64_t content_of(const Image& image) {
  return xxh3_64(std::as_bytes(std::span(image.rgb))) ^ static_cast<std::uint64_t>(image.width);
}

/// log Σ exp over logits [V].
double log_sum_exp(std::span<const float> logits) {
  const float top = *std::ranges::max_element(logits);
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit - top));
  return static_cast<double>(top) + std::log(sum);
}

/// Position l of logits [L, V].
std::span<const float> position(std::span<const float> logits, std::int64_t vocabulary, std::int64_t l) {
  return logits.subspan(static_cast<std::size_t>(l * vocabulary), static_cast<std::size_t>(vocabulary));
}

std::int64_t most_likely(std::span<const float> logits) {
  return std::ranges::max_element(logits) - logits.begin();
}

double log_probability(std::span<const float> logits, std::int64_t id) {
  return static_cast<double>(logits[static_cast<std::size_t>(id)]) - log_sum_exp(logits);
}

/// Row `row` of a tensor [rows, …].
std::span<const float> row_of(const HostTensor& tensor, std::size_t row) {
  const std::size_t size = static_cast<std::size_t>(tensor.numel() / tensor.shape()[0]);
  return tensor.values<float>().subspan(row * size, size);
}

}  // namespace

/// Noise that depends on each picture's own content, the seed and the number of the candidate only.
class LadicCaptioner::PictureNoise final : public NoiseSource {
 public:
  PictureNoise(Backend& backend, std::uint64_t seed, std::span<const Row> rows, std::int64_t length, std::int64_t width,
               double scale)
      : backend_(backend), seed_(seed), rows_(rows), length_(length), width_(width), scale_(scale) {}

  Value initial() override { return draw(0); }
  Value step(std::int64_t number) override { return draw(static_cast<std::uint32_t>(number) + 1); }
  Value restart() override { return draw(kRestart); }

 private:
  static constexpr std::uint32_t kRestart = 0xffffffff;

  Value draw(std::uint32_t number) {
    HostTensor noise(DType::f32, {static_cast<std::int64_t>(rows_.size()), length_, width_});
    const auto each = static_cast<std::size_t>(length_ * width_);
    for (std::size_t r = 0; r < rows_.size(); ++r)
      NoiseStream(seed_, rows_[r].content, rows_[r].candidate, number)
          .fill(noise.mutable_values<float>().subspan(r * each, each));
    for (float& element : noise.mutable_values<float>()) element *= static_cast<float>(scale_);
    return backend_.upload(noise);
  }

  Backend& backend_;
  std::uint64_t seed_;
  std::span<const Row> rows_;
  std::int64_t length_, width_;
  double scale_;
};

LadicCaptioner::LadicCaptioner(const ModelFolder& folder, Backend& backend)
    : backend_(&backend),
      parameters_(parameters_of(folder)),
      tokenizer_(Vocabulary::load(folder.file("vocab.txt"))),
      whole_words_(whole_words(vocabulary())),
      preprocessor_(folder.preprocessor_config() ? preprocessor_from_json(folder.preprocessor_config()->json(),
                                                                          folder.preprocessor_config()->source())
                                                 : Preprocessor()),
      model_(backend, parameters_, LadicConfig::from_folder(folder), special_ids(vocabulary()),
             /*with_text_encoder=*/false),
      defaults_(model_.config().generation()) {
  if (folder.generation_config()) defaults_ = generation_options(*folder.generation_config(), defaults_);
  if (vocabulary().size() != model_.config().text.bert.vocab_size)
    fail(ErrorCode::invalid_model, "{}: {} tokens, but config.json has a vocab_size of {}",
         folder.file("vocab.txt").string(), vocabulary().size(), model_.config().text.bert.vocab_size);
  if (preprocessor_.size != model_.image_encoder().image_size())
    fail(ErrorCode::invalid_model,
         "{}: preprocessor_config.json makes pictures of {} pixels, the image encoder takes {}", folder.path().string(),
         preprocessor_.size, model_.image_encoder().image_size());
}

Condition LadicCaptioner::condition(std::span<const Image> images) const {
  const Value pixels = backend_->upload(preprocessor_.batch(images));
  return model_.denoiser().condition(model_.image_encoder().encode(pixels));
}

const Condition& LadicCaptioner::null_condition() {
  if (!null_) null_ = model_.null_condition();
  return *null_;
}

std::string LadicCaptioner::cleaned(const std::string& text) const {
  return clean_caption(text, {.max_words = static_cast<std::size_t>(model_.config().max_words)});
}

HostTensor LadicCaptioner::reference_latent(const GenerationOptions& options) {
  if (options.reference.empty()) return {};
  model_.load_text_encoder(parameters_);
  const std::int64_t length = model_.config().length;
  const EncodedText text = tokenizer_.encode(cleaned(options.reference), length);
  HostTensor mask(DType::f32, {1, length});
  std::ranges::copy(text.attention_mask, mask.mutable_values<float>().begin());
  const TokenBatch batch{HostTensor::of({1, length}, text.ids), mask};
  return backend_->download(model_.text().encode(batch)).reshaped({length, model_.text().width()});
}

KnownPositions LadicCaptioner::fixed_length(std::int64_t words, std::int64_t rows) {
  const std::int64_t length = model_.config().length, width = model_.text().width();
  if (words < 1 || words > length - 2)
    fail(ErrorCode::usage, "--length {}: this model's captions have between 1 and {} words", words, length - 2);
  if (model_.config().text.special_latent == SpecialLatent::kept)
    fail(ErrorCode::unsupported, "--length: this model's padding has no latent of its own that could be fixed");
  if (model_.config().text.special_latent == SpecialLatent::dot) model_.load_text_encoder(parameters_);
  const HostTensor empty = backend_->download(model_.text().empty_latent());
  HostTensor mask(DType::f32, {rows, length, 1}), latent(DType::f32, {rows, length, width});
  auto out = latent.mutable_values<float>().begin();
  for (std::int64_t i = 0; i < rows * length; ++i) {
    const std::int64_t l = i % length;
    mask.mutable_values<float>()[static_cast<std::size_t>(i)] = l == 0 || l > words ? 1.0f : 0.0f;
    out = std::ranges::copy(empty.values<float>(), out).out;
  }
  return {backend_->upload(mask), backend_->upload(latent)};
}

LadicCaptioner::Drawn LadicCaptioner::draw(const Condition& condition, std::span<const Row> rows,
                                           const std::optional<KnownPositions>& known,
                                           const GenerationOptions& options) {
  const LadicConfig& config = model_.config();
  const NoiseSchedule& schedule = model_.schedule();
  const Condition* null = options.guidance == 0.0 ? nullptr : &null_condition();
  const double low = options.guidance_low * static_cast<double>(schedule.time_steps());
  const double high = options.guidance_high * static_cast<double>(schedule.time_steps());
  PictureNoise noise(*backend_, options.seed, rows, config.length, model_.text().width(),
                     schedule.config().sample_noise_factor);
  Drawn drawn;
  drawn.traces.resize(rows.size());
  SamplingTask task{.denoise =
                        [&](const Value& x_t, const Value& self_condition, std::int64_t t) {
                          const double at = static_cast<double>(t);
                          const bool guide = null && at >= low && at <= high;
                          return model_.guided(x_t, self_condition, t, condition, guide ? null : nullptr,
                                               options.guidance);
                        },
                    .noise = &noise,
                    .confidence =
                        [&](const Value& x0) {
                          return backend_->download(backend_->max(backend_->softmax(model_.text().logits(x0))));
                        },
                    .known = known,
                    .observe = {}};
  const HostTensor reference = options.trace ? reference_latent(options) : HostTensor();
  if (options.trace) task.observe = [&](const SamplerCall& call) { trace(call, reference, drawn.traces); };
  const SamplerConfig sampler{
      .kind = options.sampler,
      .eta = options.eta,
      .time_shift = config.time_shift,
      .back_and_refine = options.refine ? std::optional(options.back_and_refine) : std::nullopt};
  const std::vector<std::int64_t> times = config.time_grid == TimeGrid::stride
                                              ? stride_times(options.steps, schedule.time_steps())
                                              : ddim_times(options.steps, schedule.time_steps());
  const Value x0 = sample(*backend_, schedule, sampler, times, task);
  drawn.logits = backend_->download(model_.text().logits(x0));
  return drawn;
}

void LadicCaptioner::trace(const SamplerCall& call, const HostTensor& reference,
                           std::vector<CaptionTrace>& traces) const {
  const HostTensor x0 = backend_->download(call.x0);
  const HostTensor logits = backend_->download(model_.text().logits(call.x0));
  const std::int64_t length = logits.shape()[1], size = logits.shape()[2];
  for (std::size_t r = 0; r < traces.size(); ++r) {
    TraceStep step{.call = call.call, .t = call.t, .text = {}, .pieces = {}, .error = {}};
    std::vector<std::int64_t> ids;
    for (std::int64_t l = 0; l < length; ++l) {
      const auto scores = position(row_of(logits, r), size, l);
      ids.push_back(most_likely(scores));
      step.pieces.push_back({vocabulary().token(ids.back()), std::exp(log_probability(scores, ids.back())),
                             call.kept && row_of(*call.kept, r)[static_cast<std::size_t>(l)] == 0.0f});
    }
    step.text = paper_caption(vocabulary(), ids);
    if (reference.numel() > 0) {
      const auto estimate = row_of(x0, r);
      step.error =
          std::transform_reduce(estimate.begin(), estimate.end(), reference.values<float>().begin(), 0.0, std::plus<>(),
                                [](float a, float b) {
                                  const double difference = static_cast<double>(a) - static_cast<double>(b);
                                  return difference * difference;
                                }) /
          static_cast<double>(estimate.size());
    }
    traces[r].steps.push_back(std::move(step));
  }
}

Candidate LadicCaptioner::free_caption(std::span<const float> logits, const GenerationOptions& options) const {
  const std::int64_t size = vocabulary().size(), length = model_.config().length;
  std::vector<std::int64_t> ids;
  double score = 0.0;
  for (std::int64_t l = 0; l < length; ++l) {
    ids.push_back(most_likely(position(logits, size, l)));
    score += log_probability(position(logits, size, l), ids.back());
  }
  return {model_.config().caption_text == CaptionText::without_dots
              ? released_caption(vocabulary(), ids)
              : tidy_paper_caption(paper_caption(vocabulary(), ids)),
          score / static_cast<double>(length), options.seed};
}

Candidate LadicCaptioner::caption_of_length(std::span<const float> logits, const GenerationOptions& options) const {
  Candidate caption{"", 0.0, options.seed};
  std::optional<std::int64_t> before;
  for (std::int64_t l = 1; l <= *options.length; ++l) {
    const auto scores = position(logits, vocabulary().size(), l);
    const std::int64_t id = best_allowed(scores, whole_words_, before, {});
    caption.score += log_probability(scores, id) / static_cast<double>(*options.length);
    if (before) caption.text += ' ';
    caption.text += vocabulary().token(id);
    before = id;
  }
  return caption;
}

std::vector<Caption> LadicCaptioner::caption(std::span<const Image> images, const GenerationOptions& options) {
  if (images.empty()) return {};
  std::vector<Row> rows;
  for (const Image& image : images)
    for (std::int64_t k = 0; k < options.candidates; ++k)
      rows.push_back({content_of(image), static_cast<std::uint32_t>(k)});
  std::optional<KnownPositions> known;
  if (options.length) known = fixed_length(*options.length, static_cast<std::int64_t>(rows.size()));
  Drawn drawn = draw(condition(images), rows, known, options);

  std::vector<Caption> captions(images.size());
  std::size_t row = 0;
  for (Caption& caption : captions) {
    if (options.trace) caption.trace = std::move(drawn.traces[row]);
    std::vector<std::string> texts;
    for (std::int64_t k = 0; k < options.candidates; ++k, ++row) {
      const auto logits = row_of(drawn.logits, row);
      caption.candidates.push_back(options.length ? caption_of_length(logits, options) : free_caption(logits, options));
      texts.push_back(caption.candidates.back().text);
    }
    caption.text =
        options.select == Selection::mbr ? texts[minimum_bayes_risk(texts, options.utility).chosen] : texts.front();
  }
  return captions;
}

std::vector<LadicCaptioner::Filling> LadicCaptioner::fillings(const CaptionTemplate& sentence) const {
  const std::int64_t length = model_.config().length;
  std::vector<Filling> fillings;
  std::size_t shortest = std::numeric_limits<std::size_t>::max();
  for (std::vector<std::int64_t>& lengths : sentence.lengths(kMaxFillings)) {
    Filling filling{std::move(lengths), {vocabulary().cls()}, {}};
    auto words = filling.lengths.begin();
    for (const CaptionTemplate::Part& part : sentence.parts) {
      if (!part.is_blank()) {
        const std::vector<std::int64_t> given = tokenizer_.tokenize_to_ids(cleaned(part.text));
        filling.ids.insert(filling.ids.end(), given.begin(), given.end());
        continue;
      }
      for (std::int64_t word = 0; word < *words; ++word) {
        filling.blanks.push_back(filling.ids.size());
        filling.ids.push_back(vocabulary().unk());
      }
      ++words;
    }
    filling.ids.push_back(vocabulary().sep());
    shortest = std::min(shortest, filling.ids.size() - 2);
    if (filling.ids.size() > static_cast<std::size_t>(length)) continue;
    filling.ids.resize(static_cast<std::size_t>(length), vocabulary().pad());
    fillings.push_back(std::move(filling));
  }
  if (fillings.empty())
    fail(ErrorCode::usage, "the sentence has {} tokens or more, this model's captions at most {}", shortest,
         length - 2);
  return fillings;
}

KnownPositions LadicCaptioner::given_words(std::span<const Filling> fillings, std::int64_t candidates) {
  model_.load_text_encoder(parameters_);
  const std::int64_t length = model_.config().length;
  const auto rows = static_cast<std::int64_t>(fillings.size()) * candidates;
  TokenBatch tokens{HostTensor(DType::i64, {rows, length}), HostTensor(DType::f32, {rows, length})};
  HostTensor known(DType::f32, {rows, length, 1});
  std::ranges::fill(known.mutable_values<float>(), 1.0f);
  std::size_t base = 0;
  for (const Filling& filling : fillings) {
    for (std::int64_t k = 0; k < candidates; ++k, base += filling.ids.size()) {
      std::ranges::copy(filling.ids,
                        tokens.ids.mutable_values<std::int64_t>().begin() + static_cast<std::int64_t>(base));
      for (std::size_t l = 0; l < filling.ids.size(); ++l)
        tokens.mask.mutable_values<float>()[base + l] = filling.ids[l] == vocabulary().pad() ? 0.0f : 1.0f;
      for (const std::size_t blank : filling.blanks) known.mutable_values<float>()[base + blank] = 0.0f;
    }
  }
  return {backend_->upload(known), model_.text().encode(tokens)};
}

Candidate LadicCaptioner::filled(const CaptionTemplate& sentence, const Filling& filling, std::span<const float> logits,
                                 std::uint64_t seed) const {
  std::vector<std::int64_t> ids = filling.ids;
  std::vector<std::string> words;
  double score = 0.0;
  for (const std::size_t blank : filling.blanks) {
    const auto scores = position(logits, vocabulary().size(), static_cast<std::int64_t>(blank));
    ids[blank] = best_allowed(scores, whole_words_, ids[blank - 1], ids[blank + 1]);
    score += log_probability(scores, ids[blank]) / static_cast<double>(filling.blanks.size());
    words.push_back(vocabulary().token(ids[blank]));
  }
  return {sentence.filled(filling.lengths, words), score, seed};
}

Caption LadicCaptioner::fill(const Image& image, const CaptionTemplate& sentence, const GenerationOptions& options) {
  const std::vector<Filling> choices = fillings(sentence);
  if (choices.size() * static_cast<std::size_t>(options.candidates) > kMaxFillings)
    fail(ErrorCode::usage, "{} choices of lengths with {} candidates each are too many", choices.size(),
         options.candidates);
  std::vector<Row> rows;
  for (std::size_t i = 0; i < choices.size(); ++i)
    for (std::int64_t k = 0; k < options.candidates; ++k)
      rows.push_back({content_of(image), static_cast<std::uint32_t>(k)});
  Drawn drawn = draw(condition(std::span(&image, 1)), rows, given_words(choices, options.candidates), options);

  Caption caption;
  std::size_t best = 0;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const Filling& filling = choices[row / static_cast<std::size_t>(options.candidates)];
    caption.candidates.push_back(filled(sentence, filling, row_of(drawn.logits, row), options.seed));
    if (caption.candidates[row].score > caption.candidates[best].score) best = row;
  }
  caption.text = caption.candidates[best].text;
  if (options.trace) caption.trace = std::move(drawn.traces[best]);
  return caption;
}

}  // namespace capdiff
