#include "capdiff/training/autoregressive_objective.h"

#include <algorithm>

#include "capdiff/base/philox.h"
#include "capdiff/training/random_streams.h"

namespace capdiff {
namespace {

/// The ids of a batch where they are learnt, −1 elsewhere.
HostTensor learnt_tokens(const TokenBatch& captions, std::int64_t prompt) {
  HostTensor targets(DType::i64, captions.ids.shape());
  const auto ids = captions.ids.values<std::int64_t>();
  const auto mask = captions.mask.values<float>();
  const auto length = static_cast<std::size_t>(captions.ids.shape()[1]);
  for (std::size_t i = 0; i < ids.size(); ++i)
    targets.mutable_values<std::int64_t>()[i] =
        mask[i] != 0.0f && i % length >= static_cast<std::size_t>(prompt) ? ids[i] : -1;
  return targets;
}

}  // namespace

StepLosses autoregressive_losses(TorchBackend& b, const AutoregressiveModel& model, const AutoregressiveBatch& batch) {
  const std::vector<KeyValue> image = model.decoder().image(b.upload(batch.patches));
  const Value loss =
      model.decoder().loss(batch.ids, batch.targets, image, static_cast<float>(model.config().label_smoothing));
  const auto learnt = std::ranges::count_if(batch.targets.values<std::int64_t>(), [](auto id) { return id >= 0; });
  return {TorchBackend::tensor(loss), {}, static_cast<double>(learnt)};
}

std::unique_ptr<Batch> AutoregressiveObjective::prepare(std::span<const Sample> samples) const {
  const Shape& known = features_->patches.shape();
  const auto size = static_cast<std::size_t>(known[1] * known[2]);
  auto batch = std::make_unique<AutoregressiveBatch>();
  batch->patches = HostTensor(DType::f32, {static_cast<std::int64_t>(samples.size()), known[1], known[2]});
  std::vector<std::int64_t> captions;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const CaptionedPhoto& item = items_[static_cast<std::size_t>(samples[i].item)];
    std::ranges::copy(features_->patches.values<float>().subspan(static_cast<std::size_t>(item.photo) * size, size),
                      batch->patches.mutable_values<float>().subspan(i * size, size).begin());
    RandomStream order(options_.seed, static_cast<std::uint32_t>(RandomPurpose::caption), samples[i].draw);
    const auto available = static_cast<std::uint64_t>(item.captions.size());
    const std::uint64_t first = order.below(available);
    for (std::int64_t c = 0; c < options_.captions_per_photo; ++c)
      captions.push_back(item.captions[(first + static_cast<std::uint64_t>(c)) % available]);
  }
  const TokenBatch tokens = captions_->batch(captions);
  batch->ids = tokens.ids;
  batch->targets = learnt_tokens(tokens, prompt_);
  return batch;
}

}  // namespace capdiff
