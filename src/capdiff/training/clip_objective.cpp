#include "capdiff/training/clip_objective.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "capdiff/base/error.h"
#include "capdiff/base/philox.h"
#include "capdiff/training/random_streams.h"

namespace capdiff {
namespace {

constexpr double kLargestScale = 100.0;
constexpr double kFirstScale = 1.0 / 0.07;

/// The place of the last 1 of each row of a mask [B, L].
std::vector<std::int64_t> last_places(const HostTensor& mask) {
  const std::int64_t length = mask.shape()[1];
  const auto values = mask.values<float>();
  std::vector<std::int64_t> places;
  for (std::int64_t row = 0; row < mask.shape()[0]; ++row) {
    std::int64_t last = length - 1;
    while (last > 0 && values[static_cast<std::size_t>(row * length + last)] == 0.0f) --last;
    places.push_back(last);
  }
  return places;
}

/// f32 [P, P]: −∞ where row and column are the same photo at different places, 0 elsewhere.
torch::Tensor same_photos(const std::vector<std::int64_t>& items) {
  const auto count = static_cast<std::int64_t>(items.size());
  torch::Tensor mask = torch::zeros({count, count});
  auto out = mask.accessor<float, 2>();
  for (std::int64_t i = 0; i < count; ++i)
    for (std::int64_t j = 0; j < count; ++j)
      if (i != j && items[static_cast<std::size_t>(i)] == items[static_cast<std::size_t>(j)])
        out[i][j] = -std::numeric_limits<float>::infinity();
  return mask;
}

/// What the encoder says about the photos of a batch; has a history only where the encoder learns.
Value pooled_photos(TorchBackend& b, const ClipModel& model, const ClipBatch& batch) {
  if (batch.pooled.numel() > 0) return b.upload(batch.pooled);
  std::optional<torch::NoGradGuard> frozen;
  if (!batch.train_image_encoder) frozen.emplace();
  return model.image_tower().encoder().encode(b.upload(batch.pixels)).pooled;
}

}  // namespace

ClipModel::ClipModel(TorchBackend& backend, const ParameterStore& parameters, const ClipConfig& config)
    : backend_(&backend),
      image_tower_(backend, Scope(parameters) / "visual", config),
      text_tower_(backend, Scope(parameters), config),
      logit_scale_(backend.bind(
          parameters.get("logit_scale", {}, {Init::Kind::constant, static_cast<float>(std::log(kFirstScale))}))) {}

Value ClipModel::image_features(const Value& pooled) const {
  return backend_->l2_normalize(image_tower_.project(pooled));
}

Value ClipModel::text_features(const TokenBatch& texts) const {
  return backend_->l2_normalize(text_tower_.features(texts.ids, last_places(texts.mask)));
}

torch::Tensor ClipModel::scale() const {
  return TorchBackend::tensor(logit_scale_).clamp_max(std::log(kLargestScale)).exp();
}

StepLosses clip_losses(TorchBackend& b, const ClipModel& model, const ClipBatch& batch) {
  const torch::Tensor photos = TorchBackend::tensor(model.image_features(pooled_photos(b, model, batch)));
  const torch::Tensor captions = TorchBackend::tensor(model.text_features(batch.captions));
  const torch::Tensor scale = model.scale();
  const torch::Tensor logits = scale * torch::matmul(photos, captions.t()) + same_photos(batch.items).to(b.device());
  const torch::Tensor own =
      torch::arange(logits.size(0), torch::TensorOptions().dtype(torch::kLong).device(b.device()));
  const torch::Tensor total =
      0.5 * (torch::cross_entropy_loss(logits, own) + torch::cross_entropy_loss(logits.t(), own));
  const torch::Tensor right = logits.detach().argmax(1).eq(own).to(torch::kFloat32).mean();
  return {total, {{"accuracy", right}, {"scale", scale.detach()}}};
}

ClipObjective::ClipObjective(TorchBackend& backend, const ClipModel& model, const Preprocessor& preprocessor,
                             const PhotoStore& photos, std::vector<CaptionedPhoto> items,
                             const EncodedCaptions& captions, const Vocabulary& vocabulary,
                             const ClipTrainingOptions& options, const PhotoFeatures* features)
    : backend_(&backend),
      model_(&model),
      preprocessor_(preprocessor),
      photos_(&photos),
      features_(features),
      items_(std::move(items)),
      captions_(&captions),
      vocabulary_(&vocabulary),
      options_(options) {
  if (options.augment) check(*options.augment);
}

void ClipObjective::write_photo(ClipBatch& batch, std::size_t row, const Sample& sample) const {
  const std::int64_t photo = items_[static_cast<std::size_t>(sample.item)].photo;
  if (features_) {
    const auto width = static_cast<std::size_t>(features_->pooled.shape()[1]);
    std::ranges::copy(features_->pooled.values<float>().subspan(static_cast<std::size_t>(photo) * width, width),
                      batch.pooled.mutable_values<float>().subspan(row * width, width).begin());
    return;
  }
  const int side = preprocessor_.size;
  const auto size = static_cast<std::size_t>(3 * side * side);
  RandomStream random(options_.seed, static_cast<std::uint32_t>(RandomPurpose::augmentation), sample.draw);
  const Image& whole = photos_->photo(photo);
  preprocessor_.write_pixels(
      options_.augment ? augment(whole, side, *options_.augment, [&random] { return random.uniform(); }) : whole,
      batch.pixels.mutable_values<float>().subspan(row * size, size));
}

void ClipObjective::drop_words(ClipBatch& batch, std::size_t row, const Sample& sample) const {
  RandomStream random(options_.seed, static_cast<std::uint32_t>(RandomPurpose::masking), sample.draw);
  const auto length = static_cast<std::size_t>(captions_->length());
  for (std::int64_t& id : batch.captions.ids.mutable_values<std::int64_t>().subspan(row * length, length)) {
    const bool piece = id != vocabulary_->cls() && id != vocabulary_->sep() && id != vocabulary_->pad();
    if (piece && random.uniform() < options_.word_drop) id = vocabulary_->mask();
  }
}

std::unique_ptr<Batch> ClipObjective::prepare(std::span<const Sample> samples) const {
  const auto photos = static_cast<std::int64_t>(samples.size());
  const std::int64_t side = preprocessor_.size;
  auto batch = std::make_unique<ClipBatch>();
  batch->train_image_encoder = options_.train_image_encoder;
  if (features_)
    batch->pooled = HostTensor(DType::f32, {photos, features_->pooled.shape()[1]});
  else
    batch->pixels = HostTensor(DType::f32, {photos, 3, side, side});
  std::vector<std::int64_t> captions;
  for (std::size_t row = 0; row < samples.size(); ++row) {
    const CaptionedPhoto& item = items_[static_cast<std::size_t>(samples[row].item)];
    batch->items.push_back(samples[row].item);
    write_photo(*batch, row, samples[row]);
    RandomStream choice(options_.seed, static_cast<std::uint32_t>(RandomPurpose::caption), samples[row].draw);
    captions.push_back(item.captions[choice.below(item.captions.size())]);
  }
  batch->captions = captions_->batch(captions);
  for (std::size_t row = 0; row < samples.size(); ++row) drop_words(*batch, row, samples[row]);
  return batch;
}

}  // namespace capdiff
