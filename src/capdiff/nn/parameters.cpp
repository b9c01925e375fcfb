#include "capdiff/nn/parameters.h"

#include <algorithm>

#include "capdiff/base/error.h"
#include "capdiff/base/hash.h"
#include "capdiff/base/philox.h"

namespace capdiff {
namespace {

HostTensor initial_value(const std::string& name, const Shape& shape, Init init, std::uint64_t seed) {
  HostTensor value(DType::f32, shape);
  const auto out = value.mutable_values<float>();
  if (init.kind == Init::Kind::constant) {
    std::fill(out.begin(), out.end(), init.value);
    return value;
  }
  NoiseStream(seed, xxh3_64(std::as_bytes(std::span(name))), 0, 0).fill(out);
  for (float& element : out) element *= init.value;
  return value;
}

}  // namespace

void ParameterStore::add(SafetensorsFile file, std::string prefix) {
  sources_.push_back({std::move(file), std::move(prefix)});
}

void ParameterStore::add(std::string name, HostTensor value) {
  tensors_.insert_or_assign(std::move(name), std::move(value));
}

bool ParameterStore::contains(const std::string& name) const {
  if (tensors_.contains(name)) return true;
  for (const Source& source : sources_)
    if (name.starts_with(source.prefix) && source.file.contains(name.substr(source.prefix.size()))) return true;
  return false;
}

Parameter ParameterStore::get(const std::string& name, const Shape& shape, Init init) const {
  Parameter parameter = find(name, shape, init);
  used_.insert_or_assign(name, shape);
  return parameter;
}

Parameter ParameterStore::find(const std::string& name, const Shape& shape, Init init) const {
  if (const auto found = tensors_.find(name); found != tensors_.end()) {
    if (found->second.shape() != shape)
      fail(ErrorCode::invalid_model, "tensor '{}' has the shape {}, expected {}", name,
           to_string(found->second.shape()), to_string(shape));
    return {name, found->second};
  }
  const Source* expected = nullptr;
  for (auto source = sources_.rbegin(); source != sources_.rend(); ++source) {
    if (!name.starts_with(source->prefix)) continue;
    if (!expected) expected = &*source;
    const std::string inner = name.substr(source->prefix.size());
    if (!source->file.contains(inner)) continue;
    HostTensor value = source->file.tensor(inner, shape);
    require_finite(value, inner, source->file.name());
    return {name, std::move(value)};
  }
  if (seed_) return {name, initial_value(name, shape, init, *seed_)};
  if (!expected) fail(ErrorCode::invalid_model, "there is no tensor '{}'", name);
  fail(ErrorCode::invalid_model, "{}: there is no tensor '{}' of shape {}", expected->file.name(),
       name.substr(expected->prefix.size()), to_string(shape));
}

}  // namespace capdiff
