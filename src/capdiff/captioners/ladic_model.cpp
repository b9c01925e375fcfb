#include "capdiff/captioners/ladic_model.h"

#include <algorithm>
#include <array>

#include "capdiff/diffusion/guidance.h"

namespace capdiff {

HostTensor caption_targets(const HostTensor& ids, SpecialTargets special, const SpecialIds& special_ids) {
  if (special == SpecialTargets::tokens) return ids;
  const auto [pad, cls, sep, dot] = special_ids;
  HostTensor targets(DType::i64, ids.shape());
  std::ranges::transform(ids.values<std::int64_t>(), targets.mutable_values<std::int64_t>().begin(),
                         [=](std::int64_t id) { return id == pad || id == cls || id == sep ? dot : id; });
  return targets;
}

bool learns(std::string_view parameter) {
  return parameter.starts_with("diffuser.") || parameter.starts_with("time_layer_norm.") ||
         parameter.starts_with("lm_head.");
}

LadicModel::LadicModel(Backend& backend, const ParameterStore& parameters, const LadicConfig& config,
                       const SpecialIds& ids, bool with_text_encoder)
    : backend_(&backend),
      config_(config),
      ids_(ids),
      image_encoder_(make_image_encoder(backend, Scope(parameters) / "visual_encoder", config.image_encoder)),
      text_(backend, Scope(parameters), Scope(parameters) / "statistics", config.text, ids, with_text_encoder),
      denoiser_(backend, Scope(parameters), config.denoiser),
      schedule_(config.schedule) {}

Condition LadicModel::null_condition() const {
  const std::int64_t side = image_encoder_->image_size();
  const Value nothing = backend_->upload(HostTensor(DType::f32, {1, 3, side, side}));
  return denoiser_.condition(image_encoder_->encode(nothing));
}

Value LadicModel::guided(const Value& x_t, const Value& self_condition, const Value& time,
                         std::span<const ConditionedRows> parts, double guidance) const {
  if (guidance == 0.0) return denoiser_.estimate(x_t, self_condition, time, parts);
  Backend& b = *backend_;
  const Value both = denoiser_.estimate(b.concat(std::array{x_t, x_t}, 0),
                                        b.concat(std::array{self_condition, self_condition}, 0), time, parts);
  return guide(b, both, guidance);
}

Value LadicModel::caption_loss(const Value& x0, const HostTensor& ids) const {
  return backend_->cross_entropy(text_.logits(x0),
                                 backend_->upload(caption_targets(ids, config_.special_targets, ids_)));
}

LadicModel::Losses LadicModel::losses(const Value& x0_predicted, const Value& x0, const HostTensor& ids) const {
  Backend& b = *backend_;
  Losses losses;
  losses.latent = config_.latent_loss == LatentLoss::mean_squared ? b.mean_squared_error(x0_predicted, x0)
                                                                  : b.mean_l2_distance(x0_predicted, x0);
  losses.caption = caption_loss(x0_predicted, ids);
  losses.total = b.scale_add(1.0f, losses.latent, static_cast<float>(config_.caption_loss_weight), losses.caption);
  return losses;
}

}  // namespace capdiff
