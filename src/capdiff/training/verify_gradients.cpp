#include "capdiff/training/verify_gradients.h"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <set>

#include "capdiff/base/error.h"
#include "capdiff/evaluation/ladic_golden.h"
#include "capdiff/training/ladic_objective.h"
#include "capdiff/training/optimizer.h"

namespace capdiff {
namespace {

/// The golden batch of training, and a model of its own that learns from it.
class GoldenTraining {
 public:
  GoldenTraining(const LadicGolden& golden, GoldenTensors& tensors, Profile profile)
      : golden_(golden), tensors_(tensors), profile_(profile) {
    backend_->set_trainable(learns);
    model_.emplace(golden.model(*backend_, profile));
    parameters_ = backend_->trainable_parameters();
  }

  const NamedTensors& parameters() const { return parameters_; }

  /// The losses of the batch, with every photo's captions seeing a first estimate, or none.
  StepLosses losses(bool self_condition) {
    const std::string prefix = profile_ == Profile::paper ? "paper.loss" : "loss";
    LadicBatch batch;
    const HostTensor keep = tensors_.input(prefix + ".image_keep").to(DType::f32);
    const HostTensor pixels = tensors_.input("loss.pixel_values");
    batch.pixels = HostTensor(DType::f32, pixels.shape());
    const std::size_t picture = pixels.values<float>().size() / keep.values<float>().size();
    for (std::size_t i = 0; i < pixels.values<float>().size(); ++i)
      batch.pixels.mutable_values<float>()[i] = pixels.values<float>()[i] * keep.values<float>()[i / picture];
    batch.captions = golden_.captions();
    batch.noise = tensors_.input(prefix + ".noise");
    batch.time = tensors_.input(prefix + ".t");
    for (std::int64_t photo = 0; photo < keep.numel(); ++photo)
      (self_condition ? batch.self_conditioned : batch.others).push_back(photo);
    return ladic_losses(*backend_, *model_, batch);
  }

  /// A parameter under either of the names that the reference has for it; nothing where it does not learn.
  const torch::Tensor* find(std::string_view name) const {
    if (name == "lm_head.predictions.decoder.bias") name = "lm_head.predictions.bias";
    for (const auto& [known, tensor] : parameters_)
      if (known == name) return &tensor;
    return nullptr;
  }

 private:
  const LadicGolden& golden_;
  GoldenTensors& tensors_;
  Profile profile_;
  std::unique_ptr<TorchBackend> backend_ = make_torch_backend({});
  std::optional<LadicModel> model_;
  NamedTensors parameters_;
};

void check_gradients(const LadicGolden& golden, GoldenTensors& tensors, Profile profile, const std::string& prefix,
                     bool self_condition) {
  const std::vector<std::string> names = tensors.names(prefix);
  if (names.empty()) return;
  GoldenTraining training(golden, tensors, profile);
  training.losses(self_condition).total.backward();
  for (const std::string& name : names) {
    const torch::Tensor* parameter = training.find(std::string_view(name).substr(prefix.size()));
    if (parameter && parameter->grad().defined()) tensors.compare(name, host_view(parameter->grad()));
  }
}

/// Rows of the table of positions that no caption reaches get no gradient: they only decay, by (1 − lr · decay) a step.
void check_decay(GoldenCheck& check, const HostTensor& before, const HostTensor& after, std::int64_t length,
                 double factor) {
  constexpr double kRounding = 5e-7;
  const auto first = static_cast<std::size_t>(length * before.shape().cols());
  for (std::size_t i = first; i < after.values<float>().size(); ++i) {
    const double expected = factor * static_cast<double>(before.values<float>()[i]);
    if (std::abs(static_cast<double>(after.values<float>()[i]) - expected) <= kRounding * std::abs(expected)) continue;
    check.pass = false;
    check.note = fmt::format("element {} of a position that no caption has did not just decay", i);
    return;
  }
}

/// "adamw.3.lm_head.predictions.bias": how many updates, of which parameter.
struct UpdatedName {
  explicit UpdatedName(const std::string& name) {
    constexpr std::size_t kAdamPrefix = std::string_view("adamw.").size();
    const std::size_t dot = name.find('.', kAdamPrefix);
    if (dot == std::string::npos || name.find_first_not_of("0123456789", kAdamPrefix) != dot || dot - kAdamPrefix > 6)
      return;
    updates = std::stoll(name.substr(kAdamPrefix, dot - kAdamPrefix));
    parameter = name.substr(dot + 1);
  }
  std::int64_t updates = -1;
  std::string parameter;
};

void check_optimizer(const LadicGolden& golden, GoldenTensors& tensors) {
  const std::vector<std::string> names = tensors.names("adamw.");
  if (names.empty()) return;
  GoldenTraining training(golden, tensors, Profile::released);
  const auto& settings = golden.json().at("adamw");
  const double rate = settings.at("lr"), decay = settings.at("weight_decay");
  const std::int64_t steps = settings.at("steps");
  AdamW optimizer(training.parameters(), {.beta1 = settings.at("beta1"),
                                          .beta2 = settings.at("beta2"),
                                          .epsilon = settings.at("eps"),
                                          .weight_decay = decay});

  const ParameterStore initial = golden.parameters();
  const LadicConfig config = golden.config(Profile::released);
  std::vector<float> losses;
  for (std::int64_t step = 1; step <= steps; ++step) {
    optimizer.zero_gradients();
    const StepLosses loss = training.losses(/*self_condition=*/true);
    loss.total.backward();
    losses.push_back(loss.total.item<float>());
    losses.push_back(loss.parts.at(0).second.item<float>());
    losses.push_back(static_cast<float>(config.caption_loss_weight * loss.parts.at(1).second.item<double>()));
    optimizer.step(rate);
    for (const std::string& name : names) {
      const UpdatedName updated(name);
      const torch::Tensor* parameter = training.find(updated.parameter);
      if (updated.updates != step || !parameter) continue;
      const HostTensor now = host_view(*parameter);
      GoldenCheck& check = tensors.compare(name, now);
      if (updated.parameter.ends_with(".position_embeddings.weight"))
        check_decay(check, initial.get(updated.parameter, now.shape(), Init::zeros()).value, now, config.length,
                    std::pow(1.0 - rate * decay, static_cast<double>(step)));
    }
  }
  tensors.compare("adamw.losses", HostTensor::of({steps, 3}, losses));
}

}  // namespace

void TorchGradientCheck::check_ladic(const LadicGolden& golden, GoldenTensors& tensors) {
  check_gradients(golden, tensors, Profile::released, "grads.", true);
  check_gradients(golden, tensors, Profile::released, "grads_nosc.", false);
  check_gradients(golden, tensors, Profile::paper, "paper.grads.", true);
  check_optimizer(golden, tensors);
}

}  // namespace capdiff
