#include <array>
#include <cmath>
#include <map>

#include "capdiff/evaluation/prefix_golden.h"
#include "capdiff/training/ema.h"
#include "capdiff/training/optimizer.h"
#include "capdiff/training/prefix_objective.h"
#include "capdiff/training/verify_gradients.h"

namespace capdiff {
namespace {

constexpr double kOptimiserLosses = 1e-5;  ///< relative

/// The golden captions and pictures, and a model of its own that learns from them.
class PrefixTraining {
 public:
  PrefixTraining(const PrefixGolden& golden, GoldenTensors& tensors) : parameters_(golden.parameters()) {
    backend_->set_trainable([](const std::string&) { return true; });
    model_.emplace(*backend_, parameters_, golden.training_config(), /*with_image_tower=*/false);
    batch_.ids = tensors.input("train.input_ids");
    batch_.features = tensors.input("train.image_feature");
  }

  NamedTensors trainable() const { return backend_->trainable_parameters(); }

  StepLosses losses(PrefixModel::Noise noise) {
    batch_.noise = std::move(noise);
    return prefix_losses(*backend_, *model_, batch_);
  }

 private:
  ParameterStore parameters_;
  std::unique_ptr<TorchBackend> backend_ = make_torch_backend({});
  std::optional<PrefixModel> model_;
  PrefixBatch batch_;
};

void check_prefix_gradients(const PrefixGolden& golden, GoldenTensors& tensors) {
  PrefixTraining training(golden, tensors);
  training
      .losses({tensors.input("train.n1_embedding_noise"), tensors.input("train.n2_diffusion_noise"),
               tensors.input("train.t")})
      .total.backward();
  for (const auto& [name, parameter] : training.trainable())
    if (parameter.grad().defined()) tensors.compare("grad." + name, host_view(parameter.grad()));
}

/// Row `step` of a tensor [steps, …], without its first axis.
HostTensor of_step(const HostTensor& tensor, std::int64_t step) {
  std::vector<std::int64_t> shape = tensor.shape().sizes();
  shape.erase(shape.begin());
  return tensor.slice(step, step + 1).reshaped(Shape(std::move(shape)));
}

void check_prefix_optimizer(const PrefixGolden& golden, GoldenTensors& tensors) {
  constexpr std::int64_t kDecaySteps = 10;  // the rate falls along a line that reaches 0 there
  const nlohmann::json& settings = golden.json().at("opt");
  PrefixTraining training(golden, tensors);
  AdamW optimizer(training.trainable(), {.beta1 = settings.at("betas").at(0),
                                         .beta2 = settings.at("betas").at(1),
                                         .epsilon = settings.at("eps"),
                                         .weight_decay = settings.at("weight_decay")});
  MovingAverage average(training.trainable(), settings.at("ema_rate"), /*warm_up=*/false);
  const LearningRateSchedule rate{settings.at("lr"), kDecaySteps, 0.0, Decay::linear};
  const HostTensor n1 = tensors.input("opt.n1"), n2 = tensors.input("opt.n2"), t = tensors.input("opt.t");
  std::vector<double> losses;
  for (std::int64_t step = 0; step < t.shape()[0]; ++step) {
    optimizer.zero_gradients();
    const StepLosses loss = training.losses({of_step(n1, step), of_step(n2, step), of_step(t, step)});
    loss.total.backward();
    losses.push_back(loss.total.item<double>());
    optimizer.step(rate.at(step));
    average.update(step);
  }
  const std::map<std::string, HostTensor> averages = average.state();
  for (const auto& [name, parameter] : training.trainable()) {
    tensors.compare_if_stored("opt.param." + name, host_view(parameter));
    tensors.compare_if_stored("opt.ema." + name, averages.at(name));
  }
  for (const char* key : {"losses", "losses_fp64"})
    tensors.report().compare_json(std::string("opt.") + key, settings.at(key), losses, 0.0, kOptimiserLosses);
}

}  // namespace

void TorchGradientCheck::check_prefix(const PrefixGolden& golden, GoldenTensors& tensors) {
  check_prefix_gradients(golden, tensors);
  check_prefix_optimizer(golden, tensors);
}

}  // namespace capdiff
