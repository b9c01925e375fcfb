#include "capdiff/captioners/diffusion_captioner.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "capdiff/base/error.h"
#include "capdiff/base/parallel.h"
#include "capdiff/base/philox.h"
#include "capdiff/text/whole_words.h"

namespace capdiff {
namespace {

constexpr std::size_t kMaxFillings = 4096;  ///< rows of one call of `fill`

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
template <class T = float>
std::span<const T> row_of(const HostTensor& tensor, std::size_t row) {
  const std::size_t size = static_cast<std::size_t>(tensor.numel() / tensor.shape()[0]);
  return tensor.values<T>().subspan(row * size, size);
}

/// How many calls of the network Back&Refine adds to a walk over `levels`.
std::size_t calls_anew(const NoiseLevels& levels, const GenerationOptions& options) {
  if (!options.refine) return 0;
  const auto acts = std::ranges::find_if(
      levels.times, [&](std::int64_t t) { return options.back_and_refine.acts_at(t, levels.schedule.time_steps()); });
  if (acts == levels.times.end()) return 0;
  const auto made = static_cast<std::size_t>(acts - levels.times.begin()) + 1;
  return options.back_and_refine.noisy && levels.times.size() > 1 ? made - 1 : made;
}

}  // namespace

std::vector<std::int64_t> NoiseLevels::told_times() const {
  std::vector<std::int64_t> told;
  for (const std::int64_t t : times) told.push_back(std::min(schedule.time_steps() - 1, t + time_shift));
  return told;
}

/// Noise that depends on each picture's own content, the seed and the number of the candidate only.
class DiffusionCaptioner::PictureNoise final : public NoiseSource {
 public:
  PictureNoise(Backend& backend, std::uint64_t seed, std::span<const Row> rows, std::int64_t length, std::int64_t width,
               double scale)
      : backend_(backend), seed_(seed), rows_(rows), length_(length), width_(width), scale_(scale), initial_(draw(0)) {}

  Value initial() override { return initial_; }
  Value step(std::int64_t number) override { return draw(static_cast<std::uint32_t>(number) + 1); }
  Value restart() override { return draw(kRestart); }

 private:
  static constexpr std::uint32_t kRestart = 0xffffffff;

  Value draw(std::uint32_t number) {
    HostTensor noise(DType::f32, {static_cast<std::int64_t>(rows_.size()), length_, width_});
    // By positions, so that a single picture occupies all threads too.
    const auto each = static_cast<std::size_t>(width_);
    const std::span<float> elements = noise.mutable_values<float>();
    parallel_ranges(noise.numel() / width_, backend_.options().threads, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const Row& row = rows_[static_cast<std::size_t>(i / length_)];
        const auto position = elements.subspan(static_cast<std::size_t>(i) * each, each);
        NoiseStream(seed_, row.content, row.candidate, number)
            .fill(position, static_cast<std::uint64_t>(i % length_) * each);
        for (float& element : position) element *= static_cast<float>(scale_);
      }
    });
    return backend_.upload(noise);
  }

  Backend& backend_;
  std::uint64_t seed_;
  std::span<const Row> rows_;
  std::int64_t length_, width_;
  double scale_;
  Value initial_;
};

void DiffusionCaptioner::set_positions(std::int64_t positions) {
  const auto least = static_cast<std::int64_t>(layout_.before.size() + layout_.after.size()) + 1;
  if (positions < least)
    fail(ErrorCode::usage, "{} positions: this model's captions have {} or more, for one word", positions, least);
  layout_.length = positions;
}

std::vector<DiffusionCaptioner::Row> DiffusionCaptioner::rows_of(std::span<const Image> images,
                                                                 std::int64_t count_each) {
  std::vector<Row> rows;
  for (const Image& image : images)
    for (std::int64_t k = 0; k < count_each; ++k) rows.push_back({content_hash(image), static_cast<std::uint32_t>(k)});
  return rows;
}

HostTensor DiffusionCaptioner::reference_latent(const GenerationOptions& options) {
  if (options.reference.empty()) return {};
  std::vector<std::int64_t> tokens = layout_.before;
  const std::vector<std::int64_t> words = tokens_of(options.reference);
  const auto count = std::min(words.size(), static_cast<std::size_t>(layout_.max_words()));
  tokens.insert(tokens.end(), words.begin(), words.begin() + static_cast<std::ptrdiff_t>(count));
  tokens.insert(tokens.end(), layout_.after.begin(), layout_.after.end());
  tokens.resize(static_cast<std::size_t>(layout_.length), layout_.padding);
  return backend_->download(latents(HostTensor::of({1, layout_.length}, tokens)))
      .reshaped({layout_.length, layout_.width});
}

KnownPositions DiffusionCaptioner::fixed_length(std::int64_t words, std::int64_t rows) {
  if (words < 1 || words > layout_.max_words())
    fail(ErrorCode::usage, "--length {}: this model's captions have between 1 and {} words", words,
         layout_.max_words());
  const HostTensor empty = backend_->download(latent_of_padding());
  const auto first = static_cast<std::int64_t>(layout_.before.size());
  HostTensor mask(DType::f32, {rows, layout_.length, 1}), latent(DType::f32, {rows, layout_.length, layout_.width});
  auto out = latent.mutable_values<float>().begin();
  for (std::int64_t i = 0; i < rows * layout_.length; ++i) {
    const std::int64_t l = i % layout_.length;
    mask.mutable_values<float>()[static_cast<std::size_t>(i)] = l < first || l >= first + words ? 1.0f : 0.0f;
    out = std::ranges::copy(empty.values<float>(), out).out;
  }
  return {backend_->upload(mask), backend_->upload(latent)};
}

DiffusionCaptioner::Drawn DiffusionCaptioner::walk(std::span<const Image> images, std::span<const Row> rows,
                                                   const std::optional<KnownPositions>& known,
                                                   const GenerationOptions& options) {
  const NoiseLevels levels = noise_levels(options);
  PictureNoise noise(*backend_, options.seed, rows, layout_.length, layout_.width,
                     levels.schedule.config().sample_noise_factor);
  Drawn drawn;
  drawn.traces.resize(rows.size());
  const DenoiseStep network = denoiser(images, levels, options);
  SamplingTask task{.denoise =
                        [&](const Value& x_t, const Value& self_condition, std::int64_t t) {
                          backend_->enter(CaptionStage::step);
                          return network(x_t, self_condition, t);
                        },
                    .noise = &noise,
                    .confidence =
                        [&](const Value& x0) {
                          backend_->enter(CaptionStage::words);
                          return backend_->download(backend_->max(backend_->softmax(logits(x0))));
                        },
                    .known = known,
                    .observe = {}};
  const HostTensor reference = options.trace ? reference_latent(options) : HostTensor();
  const std::size_t calls = levels.times.size() + calls_anew(levels, options);
  if (options.trace || options.watch) {
    task.observe = [&](const SamplerCall& call) {
      if (options.trace) trace(call, reference, drawn.traces);
      if (!options.watch) return;
      options.watch({call.call, calls, [&] {
                       const HostTensor scored = backend_->download(logits(backend_->slice(call.x0, 0, 0, 1)));
                       return traced(call, row_of(scored, 0), 0);
                     }});
    };
  }
  const SamplerConfig sampler{
      .kind = options.sampler,
      .eta = options.eta,
      .time_shift = levels.time_shift,
      .back_and_refine = options.refine ? std::optional(options.back_and_refine) : std::nullopt};
  const Value x0 = sample(*backend_, levels.schedule, sampler, levels.times, task);
  backend_->enter(CaptionStage::words);
  drawn.logits = logits(x0);
  return drawn;
}

TraceStep DiffusionCaptioner::traced(const SamplerCall& call, std::span<const float> logits, std::size_t row) const {
  TraceStep step{.call = call.call, .t = call.t, .text = {}, .pieces = {}, .error = {}};
  const auto size = static_cast<std::int64_t>(layout_.whole_words.size());
  std::vector<std::int64_t> ids;
  for (std::int64_t l = 0; l < layout_.length; ++l) {
    const auto scores = position(logits, size, l);
    ids.push_back(most_likely(scores));
    step.pieces.push_back({token(ids.back()), std::exp(log_probability(scores, ids.back())),
                           call.kept && row_of(*call.kept, row)[static_cast<std::size_t>(l)] == 0.0f});
  }
  step.text = raw_text(ids);
  return step;
}

void DiffusionCaptioner::trace(const SamplerCall& call, const HostTensor& reference,
                               std::vector<CaptionTrace>& traces) const {
  const HostTensor x0 = backend_->download(call.x0);
  const HostTensor scored = backend_->download(logits(call.x0));
  for (std::size_t r = 0; r < traces.size(); ++r) {
    TraceStep step = traced(call, row_of(scored, r), r);
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

Candidate DiffusionCaptioner::free_caption(std::span<const std::int64_t> ids, std::span<const float> probabilities,
                                           const GenerationOptions& options) const {
  Candidate caption{caption_text(ids), 0.0, options.seed};
  for (std::size_t l = 0; l < ids.size(); ++l) {
    caption.score += std::log(static_cast<double>(probabilities[l]));
    caption.pieces.push_back({token(ids[l]), probabilities[l]});
  }
  caption.score /= static_cast<double>(layout_.length);
  return caption;
}

Candidate DiffusionCaptioner::caption_of_length(std::span<const float> logits, const GenerationOptions& options) const {
  Candidate caption{"", 0.0, options.seed};
  std::optional<std::int64_t> before;
  const auto size = static_cast<std::int64_t>(layout_.whole_words.size());
  const auto first = static_cast<std::int64_t>(layout_.before.size());
  for (std::int64_t l = first; l < first + *options.length; ++l) {
    const auto scores = position(logits, size, l);
    const std::int64_t id = best_allowed(scores, layout_.whole_words, before, {});
    const double log = log_probability(scores, id);
    caption.score += log / static_cast<double>(*options.length);
    if (before) caption.text += ' ';
    caption.text += token(id);
    caption.pieces.push_back({token(id), std::exp(log)});
    before = id;
  }
  return caption;
}

std::vector<Caption> DiffusionCaptioner::draw(std::span<const Image> images, const GenerationOptions& options) {
  backend_->enter(CaptionStage::preprocess);
  const std::vector<Row> rows = rows_of(images, options.candidates);
  std::optional<KnownPositions> known;
  if (options.length) known = fixed_length(*options.length, static_cast<std::int64_t>(rows.size()));
  Drawn drawn = walk(images, rows, known, options);
  // Free captions need two numbers a position, not all logits: far less to move and to look through.
  HostTensor logits, ids, probabilities;
  if (options.length) {
    logits = backend_->download(drawn.logits);
  } else {
    ids = backend_->download(backend_->argmax(drawn.logits));
    probabilities = backend_->download(backend_->max(backend_->softmax(drawn.logits)));
  }

  std::vector<Caption> captions(images.size());
  std::size_t row = 0;
  for (Caption& caption : captions) {
    if (options.trace) caption.trace = std::move(drawn.traces[row]);
    for (std::int64_t k = 0; k < options.candidates; ++k, ++row) {
      caption.candidates.push_back(
          options.length ? caption_of_length(row_of(logits, row), options)
                         : free_caption(row_of<std::int64_t>(ids, row), row_of(probabilities, row), options));
    }
  }
  return captions;
}

std::vector<DiffusionCaptioner::Filling> DiffusionCaptioner::fillings(const CaptionTemplate& sentence) const {
  const auto length = static_cast<std::size_t>(layout_.length);
  const std::size_t frame = layout_.before.size() + layout_.after.size();
  std::vector<Filling> fillings;
  std::size_t shortest = std::numeric_limits<std::size_t>::max();
  for (std::vector<std::int64_t>& lengths : sentence.lengths(kMaxFillings)) {
    Filling filling{std::move(lengths), layout_.before, {}};
    auto words = filling.lengths.begin();
    for (const CaptionTemplate::Part& part : sentence.parts) {
      if (!part.is_blank()) {
        const std::vector<std::int64_t> given = tokens_of(part.text);
        filling.tokens.insert(filling.tokens.end(), given.begin(), given.end());
        continue;
      }
      for (std::int64_t word = 0; word < *words; ++word) {
        filling.blanks.push_back(filling.tokens.size());
        filling.tokens.push_back(layout_.unknown);
      }
      ++words;
    }
    filling.tokens.insert(filling.tokens.end(), layout_.after.begin(), layout_.after.end());
    shortest = std::min(shortest, filling.tokens.size() - frame);
    if (filling.tokens.size() > length) continue;
    filling.tokens.resize(length, layout_.padding);
    fillings.push_back(std::move(filling));
  }
  if (fillings.empty())
    fail(ErrorCode::usage, "the sentence has {} tokens or more, this model's captions at most {}", shortest,
         layout_.max_words());
  return fillings;
}

KnownPositions DiffusionCaptioner::given_words(std::span<const Filling> fillings, std::int64_t candidates) {
  const auto rows = static_cast<std::int64_t>(fillings.size()) * candidates;
  HostTensor tokens(DType::i64, {rows, layout_.length}), known(DType::f32, {rows, layout_.length, 1});
  std::ranges::fill(known.mutable_values<float>(), 1.0f);
  std::size_t base = 0;
  for (const Filling& filling : fillings) {
    for (std::int64_t k = 0; k < candidates; ++k, base += filling.tokens.size()) {
      std::ranges::copy(filling.tokens,
                        tokens.mutable_values<std::int64_t>().begin() + static_cast<std::ptrdiff_t>(base));
      for (const std::size_t blank : filling.blanks) known.mutable_values<float>()[base + blank] = 0.0f;
    }
  }
  return {backend_->upload(known), latents(tokens)};
}

Candidate DiffusionCaptioner::filled(const CaptionTemplate& sentence, const Filling& filling,
                                     std::span<const float> logits, std::uint64_t seed) const {
  std::vector<std::int64_t> ids = filling.tokens;
  std::vector<std::string> words;
  Candidate caption{"", 0.0, seed};
  for (const std::int64_t id : ids) caption.pieces.push_back({token(id), 1.0});
  for (const std::size_t blank : filling.blanks) {
    const auto scores =
        position(logits, static_cast<std::int64_t>(layout_.whole_words.size()), static_cast<std::int64_t>(blank));
    const auto left = blank > 0 ? std::optional(ids[blank - 1]) : std::nullopt;
    const auto right = blank + 1 < ids.size() ? std::optional(ids[blank + 1]) : std::nullopt;
    ids[blank] = best_allowed(scores, layout_.whole_words, left, right);
    const double log = log_probability(scores, ids[blank]);
    caption.score += log / static_cast<double>(filling.blanks.size());
    caption.pieces[blank] = {token(ids[blank]), std::exp(log)};
    words.push_back(token(ids[blank]));
  }
  caption.text = sentence.filled(filling.lengths, words);
  return caption;
}

Caption DiffusionCaptioner::fill(const Image& image, const CaptionTemplate& sentence,
                                 const GenerationOptions& options) {
  const std::vector<Filling> choices = fillings(sentence);
  if (choices.size() * static_cast<std::size_t>(options.candidates) > kMaxFillings)
    fail(ErrorCode::usage, "{} choices of lengths with {} candidates each are too many", choices.size(),
         options.candidates);
  std::vector<Row> rows;
  for (std::size_t i = 0; i < choices.size(); ++i)
    std::ranges::copy(rows_of({&image, 1}, options.candidates), std::back_inserter(rows));
  Drawn drawn = walk({&image, 1}, rows, given_words(choices, options.candidates), options);
  const HostTensor logits = backend_->download(drawn.logits);

  Caption caption;
  std::size_t best = 0;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const Filling& filling = choices[row / static_cast<std::size_t>(options.candidates)];
    caption.candidates.push_back(filled(sentence, filling, row_of(logits, row), options.seed));
    if (caption.candidates[row].score > caption.candidates[best].score) best = row;
  }
  caption.text = caption.candidates[best].text;
  if (options.trace) caption.trace = std::move(drawn.traces[best]);
  return caption;
}

}  // namespace capdiff
