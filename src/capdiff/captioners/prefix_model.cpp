#include "capdiff/captioners/prefix_model.h"

#include <algorithm>
#include <array>

#include "capdiff/base/error.h"
#include "capdiff/diffusion/forward_process.h"
#include "capdiff/diffusion/guidance.h"

namespace capdiff {
namespace {

/// f32 [B, 1, 1]: 1 where t is 0.
HostTensor at_first_level(const HostTensor& t) {
  HostTensor mask(DType::f32, {t.numel(), 1, 1});
  std::ranges::transform(t.values<std::int64_t>(), mask.mutable_values<float>().begin(),
                         [](std::int64_t time) { return time == 0 ? 1.0f : 0.0f; });
  return mask;
}

}  // namespace

PrefixModel::PrefixModel(Backend& backend, const ParameterStore& parameters, const PrefixConfig& config,
                         bool with_image_tower)
    : backend_(&backend),
      config_(config),
      words_(backend, Scope(parameters), config.text),
      denoiser_(backend, Scope(parameters), config.denoiser),
      schedule_(config.schedule) {
  if (with_image_tower) image_tower_ = make_image_tower(backend, Scope(parameters) / "visual", config.clip);
}

Value PrefixModel::image_feature(const Value& pixels) const {
  if (!image_tower_) fail(ErrorCode::internal, "[image_feature] this model was made without its image tower");
  return image_tower_->features(pixels);
}

Prefix PrefixModel::null_prefix() const {
  return denoiser_.prefix(backend_->upload(HostTensor(DType::f32, {1, config_.clip.embed})));
}

Value PrefixModel::guided(const Value& x_t, const Value& time, const Prefix& image, const Prefix* null,
                          double guidance) const {
  const std::int64_t rows = x_t.shape()[0];
  if (!null || guidance == 0.0) return denoiser_.estimate(x_t, time, std::array{PrefixedRows{rows, &image}});
  const Value both = denoiser_.estimate(backend_->concat(std::array{x_t, x_t}, 0), time,
                                        std::array{PrefixedRows{rows, &image}, PrefixedRows{rows, null}});
  return guide(*backend_, both, guidance);
}

PrefixModel::Losses PrefixModel::losses(const HostTensor& ids, const Noise& noise,
                                        std::span<const PrefixedRows> parts) const {
  Backend& b = *backend_;
  const Value words = b.upload(ids);
  const Value e = words_.embed(words);
  Losses losses;
  losses.x0 = b.scale_add(1.0f, e, static_cast<float>(schedule_.noise(0)), b.upload(noise.embedding));
  losses.x_t = noised(b, schedule_, losses.x0, b.upload(noise.diffusion), noise.t);
  losses.x0_predicted = denoiser_(losses.x_t, scaled_times(noise.t, schedule_.time_steps()), parts);
  const Value target = b.select(b.upload(at_first_level(noise.t)), e, losses.x0);
  losses.denoising = b.mean_squared_error(losses.x0_predicted, target);
  losses.rounding = b.cross_entropy(words_.dot_logits(losses.x0), words);
  const Value nothing = b.upload(HostTensor(DType::f32, losses.x0.shape()));
  const auto last = static_cast<float>(schedule_.signal(schedule_.time_steps() - 1));
  losses.prior = b.mean_squared_error(b.scale_add(last, losses.x0, 0.0f, losses.x0), nothing);
  losses.total = b.add(b.add(losses.denoising, losses.rounding), losses.prior);
  return losses;
}

HostTensor scaled_times(const HostTensor& t, std::int64_t time_steps) {
  HostTensor scaled(DType::f32, {t.numel()});
  std::ranges::transform(t.values<std::int64_t>(), scaled.mutable_values<float>().begin(), [=](std::int64_t time) {
    return static_cast<float>(static_cast<double>(time) * 1000.0 / static_cast<double>(time_steps));
  });
  return scaled;
}

}  // namespace capdiff
