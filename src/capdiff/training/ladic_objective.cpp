#include "capdiff/training/ladic_objective.h"

#include <array>
#include <optional>

#include "capdiff/base/error.h"
#include "capdiff/base/philox.h"
#include "capdiff/training/random_streams.h"

namespace capdiff {
namespace {

/// P photos with C captions each, photo-major.
struct LadicBatch final : Batch {
  HostTensor pixels;                           ///< [P, 3, S, S], zero where the photo is dropped; empty without photos
  TokenBatch captions;                         ///< [P · C, L]
  HostTensor noise;                            ///< ε [P · C, L, D]
  HostTensor time;                             ///< t i64 [P · C]
  HostTensor signal, deviation;                ///< √ᾱ_t and F √(1 − ᾱ_t), [P · C, 1, 1]
  std::vector<std::int64_t> self_conditioned;  ///< photos whose captions see a first estimate
  std::vector<std::int64_t> others;
  bool train_image_encoder = false;
};

RandomStream random_stream(std::uint64_t seed, RandomPurpose purpose, std::uint64_t draw) {
  return RandomStream(seed, static_cast<std::uint32_t>(purpose), draw);
}

/// The row numbers of the captions of `photos`.
std::vector<std::int64_t> rows_of(std::span<const std::int64_t> photos, std::int64_t captions_per_photo) {
  std::vector<std::int64_t> rows;
  for (const std::int64_t photo : photos)
    for (std::int64_t c = 0; c < captions_per_photo; ++c) rows.push_back(photo * captions_per_photo + c);
  return rows;
}

Value upload_indices(Backend& backend, const std::vector<std::int64_t>& indices) {
  return backend.upload(HostTensor::of({static_cast<std::int64_t>(indices.size())}, indices));
}

}  // namespace

LadicObjective::LadicObjective(TorchBackend& backend, const LadicModel& model, const Preprocessor& preprocessor,
                               const PhotoStore* photos, std::vector<CaptionedPhoto> items,
                               const EncodedCaptions& captions, const LadicTrainingOptions& options)
    : backend_(&backend),
      model_(&model),
      preprocessor_(preprocessor),
      photos_(photos),
      items_(std::move(items)),
      captions_(&captions),
      options_(options) {
  check(options.augment);
  for (const CaptionedPhoto& item : items_)
    if (item.captions.empty())
      fail(ErrorCode::invalid_input, "photo {} of the training set has no caption", item.photo);
}

std::unique_ptr<Batch> LadicObjective::prepare(std::span<const Sample> samples) const {
  const auto photos = static_cast<std::int64_t>(samples.size());
  const std::int64_t rows = photos * options_.captions_per_photo;
  const std::int64_t length = captions_->length(), width = model_->text().width();
  const std::int64_t side = preprocessor_.size;
  const auto row_size = static_cast<std::size_t>(length * width);
  const auto image_size = static_cast<std::size_t>(3 * side * side);

  auto batch = std::make_unique<LadicBatch>();
  if (photos_) batch->pixels = HostTensor(DType::f32, {photos, 3, side, side});
  batch->noise = HostTensor(DType::f32, {rows, length, width});
  batch->time = HostTensor(DType::i64, {rows});
  batch->signal = HostTensor(DType::f32, {rows, 1, 1});
  batch->deviation = HostTensor(DType::f32, {rows, 1, 1});
  batch->train_image_encoder =
      options_.train_image_encoder && samples.front().draw >= options_.frozen_image_encoder_samples;
  std::vector<std::int64_t> captions;
  std::size_t row = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const Sample& sample = samples[i];
    const CaptionedPhoto& item = items_[static_cast<std::size_t>(sample.item)];
    if (photos_ &&
        random_stream(options_.seed, RandomPurpose::image_drop, sample.draw).uniform() >= options_.image_drop) {
      RandomStream random = random_stream(options_.seed, RandomPurpose::augmentation, sample.draw);
      const Image crop = augment(photos_->photo(item.photo), static_cast<int>(side), options_.augment,
                                 [&random] { return random.uniform(); });
      preprocessor_.write_pixels(crop, batch->pixels.mutable_values<float>().subspan(i * image_size, image_size));
    }
    const bool self_condition =
        random_stream(options_.seed, RandomPurpose::self_condition, sample.draw).uniform() < options_.self_condition;
    (self_condition ? batch->self_conditioned : batch->others).push_back(static_cast<std::int64_t>(i));

    RandomStream order = random_stream(options_.seed, RandomPurpose::caption, sample.draw);
    RandomStream time = random_stream(options_.seed, RandomPurpose::time_step, sample.draw);
    const auto available = static_cast<std::uint64_t>(item.captions.size());
    const std::uint64_t first = order.below(available);
    for (std::int64_t c = 0; c < options_.captions_per_photo; ++c, ++row) {
      captions.push_back(item.captions[(first + static_cast<std::uint64_t>(c)) % available]);
      NoiseStream(options_.seed, sample.draw, static_cast<std::uint32_t>(c),
                  static_cast<std::uint32_t>(RandomPurpose::noise))
          .fill(batch->noise.mutable_values<float>().subspan(row * row_size, row_size));
      const auto t = static_cast<std::int64_t>(time.below(static_cast<std::uint64_t>(model_->schedule().time_steps())));
      batch->time.mutable_values<std::int64_t>()[row] = t;
      batch->signal.mutable_values<float>()[row] = static_cast<float>(model_->schedule().signal(t));
      batch->deviation.mutable_values<float>()[row] = static_cast<float>(model_->schedule().training_noise(t));
    }
  }
  batch->captions = captions_->batch(captions);
  return batch;
}

StepLosses LadicObjective::losses(const Batch& prepared) {
  const auto& batch = static_cast<const LadicBatch&>(prepared);
  TorchBackend& b = *backend_;
  const std::int64_t rows = batch.time.numel();

  Value x0;
  {
    const torch::NoGradGuard frozen;
    x0 = model_->text().encode(batch.captions);
  }
  const Value x_t = b.add(b.mul(x0, b.upload(batch.signal)), b.mul(b.upload(batch.noise), b.upload(batch.deviation)));
  const Value t = b.upload(batch.time);
  const Condition condition = this->condition(batch);
  const Value self_condition = first_estimate(x_t, t, condition, batch.self_conditioned, batch.others);
  const Value predicted = model_->denoiser()(x_t, self_condition, t, std::array{ConditionedRows{rows, &condition}});
  const LadicModel::Losses losses = model_->losses(predicted, x0, batch.captions.ids);
  return {TorchBackend::tensor(losses.total),
          {{"latent_loss", TorchBackend::tensor(losses.latent).detach()},
           {"caption_loss", TorchBackend::tensor(losses.caption).detach()}}};
}

Condition LadicObjective::condition(const Batch& prepared) const {
  const auto& batch = static_cast<const LadicBatch&>(prepared);
  TorchBackend& b = *backend_;
  const LadicDenoiser& denoiser = model_->denoiser();
  if (!photos_) {
    const std::int64_t count = batch.time.numel() / options_.captions_per_photo;
    const std::int64_t width = denoiser.config().encoder_width;
    return denoiser.condition(
        {b.upload(HostTensor(DType::f32, {count, 1, width})), b.upload(HostTensor(DType::f32, {count, width}))});
  }
  ImageTokens tokens;
  {
    std::optional<torch::NoGradGuard> frozen;
    if (!batch.train_image_encoder) frozen.emplace();
    tokens = model_->image_encoder().encode(b.upload(batch.pixels));
  }
  return denoiser.condition(tokens);
}

Value LadicObjective::first_estimate(const Value& x_t, const Value& t, const Condition& condition,
                                     std::span<const std::int64_t> photos, std::span<const std::int64_t> others) const {
  TorchBackend& b = *backend_;
  const torch::NoGradGuard detached;
  if (photos.empty()) return b.upload(HostTensor(DType::f32, x_t.shape()));
  const std::vector<std::int64_t> rows = rows_of(photos, options_.captions_per_photo);
  const std::vector<std::int64_t> zero_rows = rows_of(others, options_.captions_per_photo);
  const Value indices = upload_indices(b, rows);
  const Value chosen_x_t = b.gather(x_t, indices);
  const Condition chosen =
      condition.gather(b, upload_indices(b, std::vector<std::int64_t>(photos.begin(), photos.end())));
  const Value nothing = b.upload(HostTensor(DType::f32, chosen_x_t.shape()));
  const Value estimate =
      model_->denoiser()(chosen_x_t, nothing, b.gather(t, indices),
                         std::array{ConditionedRows{static_cast<std::int64_t>(rows.size()), &chosen}});
  if (zero_rows.empty()) return estimate;

  // Estimates stand first and zeros behind them; row r of the batch is found at place[r].
  std::vector<std::int64_t> place(rows.size() + zero_rows.size());
  std::int64_t at = 0;
  for (const std::int64_t row : rows) place[static_cast<std::size_t>(row)] = at++;
  for (const std::int64_t row : zero_rows) place[static_cast<std::size_t>(row)] = at++;
  const Value zeros =
      b.upload(HostTensor(DType::f32, {static_cast<std::int64_t>(zero_rows.size()), x_t.shape()[1], x_t.shape()[2]}));
  return b.gather(b.concat(std::array{estimate, zeros}, 0), upload_indices(b, place));
}

}  // namespace capdiff
