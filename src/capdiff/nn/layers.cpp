#include "capdiff/nn/layers.h"

namespace capdiff {

Linear::Linear(Backend& backend, const Scope& scope, std::int64_t in, std::int64_t out, Init init)
    : Linear(backend, scope.get("weight", {out, in}, init), scope.get("bias", {out}, Init::zeros())) {}

Linear::Linear(Backend& backend, const Parameter& weight, const Parameter& bias)
    : backend_(&backend), packed_(backend.bind_linear({&weight, 1}, {&bias, 1})) {}

Linear Linear::fused(Backend& backend, const std::vector<Scope>& scopes, std::int64_t in, std::int64_t out_each,
                     Init init) {
  std::vector<Parameter> weights, biases;
  for (const Scope& scope : scopes) {
    weights.push_back(scope.get("weight", {out_each, in}, init));
    biases.push_back(scope.get("bias", {out_each}, Init::zeros()));
  }
  Linear linear;
  linear.backend_ = &backend;
  linear.packed_ = backend.bind_linear(weights, biases);
  return linear;
}

LayerNorm::LayerNorm(Backend& backend, const Scope& scope, std::int64_t width, float eps)
    : backend_(&backend),
      gamma_(backend.bind(scope.get("weight", {width}, Init::ones()))),
      beta_(backend.bind(scope.get("bias", {width}, Init::zeros()))),
      eps_(eps) {}

Embedding::Embedding(Backend& backend, const Scope& scope, std::int64_t entries, std::int64_t width, Init init)
    : backend_(&backend), table_(backend.bind(scope.get("weight", {entries, width}, init))) {}

Value repeat_each(Backend& backend, const Value& value, std::int64_t times) {
  if (times == 1) return value;
  const std::int64_t batch = value.shape()[0], length = value.shape()[1], width = value.shape()[2];
  const std::vector<Value> copies(static_cast<std::size_t>(times), value);
  return backend.reshape(backend.concat(copies, 1), {batch * times, length, width});
}

}  // namespace capdiff
