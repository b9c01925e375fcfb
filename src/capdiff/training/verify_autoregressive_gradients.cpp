#include "capdiff/backends/torch/torch_backend.h"
#include "capdiff/evaluation/autoregressive_golden.h"
#include "capdiff/training/named_tensors.h"
#include "capdiff/training/verify_gradients.h"

namespace capdiff {

void TorchGradientCheck::check_autoregressive(const AutoregressiveGolden& golden, GoldenTensors& tensors) {
  const auto backend = make_torch_backend({});
  backend->set_trainable([](const std::string&) { return true; });
  const ParameterStore parameters = golden.parameters();
  const CaptionDecoder decoder(*backend, Scope(parameters), golden.config());
  const std::vector<KeyValue> image = decoder.image(backend->upload(tensors.input("image_tokens")));
  const Value loss =
      decoder.loss(tensors.input("input_ids"), golden_targets(tensors.input("labels")), image, kGoldenSmoothing);
  TorchBackend::tensor(loss).backward();
  for (const auto& [name, parameter] : backend->trainable_parameters())
    if (parameter.grad().defined()) tensors.compare("grad." + name, host_view(parameter.grad()));
}

}  // namespace capdiff
