#include "capdiff/training/ladic_objective.h"

#include <algorithm>
#include <array>
#include <optional>

#include "capdiff/base/error.h"
#include "capdiff/base/philox.h"
#include "capdiff/diffusion/forward_process.h"
#include "capdiff/training/random_streams.h"

namespace capdiff {
namespace {

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

/// `shape` with another number of rows.
Shape with_rows(const Shape& shape, std::int64_t rows) {
  std::vector<std::int64_t> sizes = shape.sizes();
  sizes[0] = rows;
  return Shape(std::move(sizes));
}

void copy_row(const HostTensor& from, std::int64_t row, HostTensor& to, std::int64_t to_row) {
  const auto size = static_cast<std::size_t>(from.numel() / from.shape()[0]);
  const auto values = from.values<float>().subspan(static_cast<std::size_t>(row) * size, size);
  std::ranges::copy(values, to.mutable_values<float>().subspan(static_cast<std::size_t>(to_row) * size).begin());
}

Value upload_indices(Backend& backend, const std::vector<std::int64_t>& indices) {
  return backend.upload(HostTensor::of({static_cast<std::int64_t>(indices.size())}, indices));
}

/// What the rows of the batch look at; only the encoder's pass may have a history.
Condition condition_of(TorchBackend& b, const LadicModel& model, const LadicBatch& batch) {
  const LadicDenoiser& denoiser = model.denoiser();
  if (batch.patches.numel() > 0) return denoiser.condition({b.upload(batch.patches), b.upload(batch.pooled)});
  if (batch.pixels.numel() == 0) {
    const std::int64_t count = batch.time.numel() / batch.captions_per_photo;
    const std::int64_t width = denoiser.config().encoder_width;
    return denoiser.condition(
        {b.upload(HostTensor(DType::f32, {count, 1, width})), b.upload(HostTensor(DType::f32, {count, width}))});
  }
  ImageTokens tokens;
  {
    std::optional<torch::NoGradGuard> frozen;
    if (!batch.train_image_encoder) frozen.emplace();
    tokens = model.image_encoder().encode(b.upload(batch.pixels));
  }
  return denoiser.condition(tokens);
}

/// First estimates for the rows of the self-conditioned photos, zero for the others: [P · C, L, D], without history.
Value first_estimate(TorchBackend& b, const LadicModel& model, const LadicBatch& batch, const Value& x_t,
                     const Value& t, const Condition& condition) {
  const torch::NoGradGuard detached;
  if (batch.self_conditioned.empty()) return b.upload(HostTensor(DType::f32, x_t.shape()));
  const std::vector<std::int64_t> rows = rows_of(batch.self_conditioned, batch.captions_per_photo);
  const std::vector<std::int64_t> zero_rows = rows_of(batch.others, batch.captions_per_photo);
  const Value indices = upload_indices(b, rows);
  const Value chosen_x_t = b.gather(x_t, indices);
  const Condition chosen = condition.gather(b, upload_indices(b, batch.self_conditioned));
  const Value nothing = b.upload(HostTensor(DType::f32, chosen_x_t.shape()));
  const Value estimate = model.denoiser()(chosen_x_t, nothing, b.gather(t, indices),
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

}  // namespace

StepLosses ladic_losses(TorchBackend& b, const LadicModel& model, const LadicBatch& batch) {
  Value x0;
  {
    const torch::NoGradGuard frozen;
    x0 = batch.latents.numel() > 0 ? b.upload(batch.latents) : model.text().encode(batch.captions);
  }
  const Value x_t = noised(b, model.schedule(), x0, b.upload(batch.noise), batch.time);
  const Value t = b.upload(batch.time);
  const Condition condition = condition_of(b, model, batch);
  const Value self_condition = first_estimate(b, model, batch, x_t, t, condition);
  const Value predicted =
      model.denoiser()(x_t, self_condition, t, std::array{ConditionedRows{batch.time.numel(), &condition}});
  const LadicModel::Losses losses = model.losses(predicted, x0, batch.captions.ids);
  StepLosses result{TorchBackend::tensor(losses.total),
                    {{"latent_loss", TorchBackend::tensor(losses.latent).detach()},
                     {"caption_loss", TorchBackend::tensor(losses.caption).detach()}}};
  if (batch.train_text) {
    // The diffuser's losses do not reach the latents: they would draw all words to one point, which is easy to predict.
    const Value learnt = model.text().encode(batch.captions);
    const torch::Tensor rounding = TorchBackend::tensor(model.caption_loss(learnt, batch.captions.ids));
    result.total = result.total + rounding;
    result.parts.emplace_back("rounding_loss", rounding.detach());
  }
  return result;
}

LadicObjective::LadicObjective(TorchBackend& backend, const LadicModel& model, const Preprocessor& preprocessor,
                               const PhotoStore* photos, std::vector<CaptionedPhoto> items,
                               const EncodedCaptions& captions, const LadicTrainingOptions& options,
                               const PhotoFeatures* features, const HostTensor* latents)
    : backend_(&backend),
      model_(&model),
      preprocessor_(preprocessor),
      photos_(photos),
      features_(features),
      latents_(latents),
      items_(std::move(items)),
      captions_(&captions),
      options_(options) {
  if (options.augment) check(*options.augment);
  for (const CaptionedPhoto& item : items_)
    if (item.captions.empty())
      fail(ErrorCode::invalid_input, "photo {} of the training set has no caption", item.photo);
}

void LadicObjective::write_photo(LadicBatch& batch, std::size_t i, const Sample& sample) const {
  if (!features_ && !photos_) return;
  const bool dropped =
      random_stream(options_.seed, RandomPurpose::image_drop, sample.draw).uniform() < options_.image_drop;
  const std::int64_t photo = items_[static_cast<std::size_t>(sample.item)].photo;
  if (features_) {
    const std::int64_t row = dropped ? features_->nothing() : photo;
    copy_row(features_->patches, row, batch.patches, static_cast<std::int64_t>(i));
    copy_row(features_->pooled, row, batch.pooled, static_cast<std::int64_t>(i));
  } else if (!dropped) {
    const std::int64_t side = preprocessor_.size;
    const auto size = static_cast<std::size_t>(3 * side * side);
    const std::span<float> pixels = batch.pixels.mutable_values<float>().subspan(i * size, size);
    const Image& whole = photos_->photo(photo);
    RandomStream random = random_stream(options_.seed, RandomPurpose::augmentation, sample.draw);
    const Uniform uniform = [&random] { return random.uniform(); };
    preprocessor_.write_pixels(
        options_.augment ? augment(whole, static_cast<int>(side), *options_.augment, uniform) : whole, pixels);
  }
}

std::unique_ptr<Batch> LadicObjective::prepare(std::span<const Sample> samples) const {
  const auto photos = static_cast<std::int64_t>(samples.size());
  const std::int64_t rows = photos * options_.captions_per_photo;
  const std::int64_t length = captions_->length(), width = model_->text().width();
  const std::int64_t side = preprocessor_.size;
  const auto row_size = static_cast<std::size_t>(length * width);

  auto batch = std::make_unique<LadicBatch>();
  batch->captions_per_photo = options_.captions_per_photo;
  if (features_) {
    batch->patches = HostTensor(DType::f32, with_rows(features_->patches.shape(), photos));
    batch->pooled = HostTensor(DType::f32, with_rows(features_->pooled.shape(), photos));
  } else if (photos_) {
    batch->pixels = HostTensor(DType::f32, {photos, 3, side, side});
  }
  batch->train_text = options_.train_text;
  batch->noise = HostTensor(DType::f32, {rows, length, width});
  batch->time = HostTensor(DType::i64, {rows});
  batch->train_image_encoder =
      options_.train_image_encoder && samples.front().draw >= options_.frozen_image_encoder_samples;
  std::vector<std::int64_t> captions;
  std::size_t row = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const Sample& sample = samples[i];
    const CaptionedPhoto& item = items_[static_cast<std::size_t>(sample.item)];
    write_photo(*batch, i, sample);
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
      batch->time.mutable_values<std::int64_t>()[row] =
          static_cast<std::int64_t>(time.below(static_cast<std::uint64_t>(model_->schedule().time_steps())));
    }
  }
  batch->captions = captions_->batch(captions);
  if (latents_) {
    batch->latents = HostTensor(DType::f32, {rows, length, width});
    for (std::int64_t i = 0; i < rows; ++i)
      copy_row(*latents_, captions[static_cast<std::size_t>(i)], batch->latents, i);
  }
  return batch;
}

}  // namespace capdiff
