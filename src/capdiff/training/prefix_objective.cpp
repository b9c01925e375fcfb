#include "capdiff/training/prefix_objective.h"

#include <algorithm>
#include <array>

#include "capdiff/base/philox.h"
#include "capdiff/training/random_streams.h"

namespace capdiff {
namespace {

/// Row `row` of a tensor f32 [B, …].
std::span<float> row_of(HostTensor& tensor, std::size_t row) {
  const auto size = static_cast<std::size_t>(tensor.numel() / tensor.shape()[0]);
  return tensor.mutable_values<float>().subspan(row * size, size);
}

}  // namespace

StepLosses prefix_losses(TorchBackend& b, const PrefixModel& model, const PrefixBatch& batch) {
  const Prefix prefix = model.denoiser().prefix(b.upload(batch.features));
  const PrefixModel::Losses losses =
      model.losses(batch.ids, batch.noise, std::array{PrefixedRows{batch.ids.shape()[0], &prefix}});
  const auto value = [](const Value& loss) { return TorchBackend::tensor(loss).detach(); };
  return {TorchBackend::tensor(losses.total),
          {{"denoising_loss", value(losses.denoising)},
           {"rounding_loss", value(losses.rounding)},
           {"prior_loss", value(losses.prior)}}};
}

PrefixObjective::PrefixObjective(TorchBackend& backend, const PrefixModel& model, const ImageFeatures& features,
                                 std::span<const CaptionedPhoto> items, const EncodedCaptions& captions,
                                 const PrefixTrainingOptions& options)
    : backend_(&backend), model_(&model), features_(&features), captions_(&captions), options_(options) {
  for (const CaptionedPhoto& item : items)
    for (const std::int64_t caption : item.captions) items_.push_back({item.photo, caption});
}

std::unique_ptr<Batch> PrefixObjective::prepare(std::span<const Sample> samples) const {
  const auto rows = static_cast<std::int64_t>(samples.size());
  const std::int64_t length = captions_->length(), width = model_->words().width();
  auto batch = std::make_unique<PrefixBatch>();
  batch->features = HostTensor(DType::f32, {rows, features_->features.shape()[1]});
  batch->noise.embedding = HostTensor(DType::f32, {rows, length, width});
  batch->noise.diffusion = HostTensor(DType::f32, {rows, length, width});
  batch->noise.t = HostTensor(DType::i64, {rows});
  std::vector<std::int64_t> captions;
  for (std::size_t row = 0; row < samples.size(); ++row) {
    const Sample& sample = samples[row];
    const Item& item = items_[static_cast<std::size_t>(sample.item)];
    const auto stream = [&](RandomPurpose purpose) {
      return RandomStream(options_.seed, static_cast<std::uint32_t>(purpose), sample.draw);
    };
    const auto noise = [&](RandomPurpose purpose) {
      return NoiseStream(options_.seed, sample.draw, 0, static_cast<std::uint32_t>(purpose));
    };
    captions.push_back(item.caption);
    if (stream(RandomPurpose::image_drop).uniform() >= options_.image_drop)
      std::ranges::copy(features_->row(item.photo), row_of(batch->features, row).begin());
    noise(RandomPurpose::embedding_noise).fill(row_of(batch->noise.embedding, row));
    noise(RandomPurpose::noise).fill(row_of(batch->noise.diffusion, row));
    batch->noise.t.mutable_values<std::int64_t>()[row] = static_cast<std::int64_t>(
        stream(RandomPurpose::time_step).below(static_cast<std::uint64_t>(model_->schedule().time_steps())));
  }
  batch->ids = captions_->batch(captions).ids;
  return batch;
}

}  // namespace capdiff
