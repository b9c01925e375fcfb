#include "capdiff/evaluation/golden_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "capdiff/base/error.h"
#include "capdiff/formats/weights_file.h"

namespace capdiff {
namespace {

template <class T>
std::vector<double> converted(std::span<const T> values) {
  return {values.begin(), values.end()};
}

std::vector<double> doubles(const HostTensor& tensor) {
  switch (tensor.dtype()) {
    case DType::f64: return converted(tensor.values<double>());
    case DType::i64: return converted(tensor.values<std::int64_t>());
    case DType::i32: return converted(tensor.values<std::int32_t>());
    case DType::u8:
    case DType::boolean: return converted(tensor.values<std::uint8_t>());
    default: {
      const HostTensor floats = tensor.to(DType::f32);
      return converted(floats.values<float>());
    }
  }
}

bool is_floating(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f64 || dtype == DType::f16 || dtype == DType::bf16;
}

std::vector<std::int64_t> without_ones(const Shape& shape) {
  std::vector<std::int64_t> sizes = shape.sizes();
  std::erase(sizes, 1);
  return sizes;
}

GoldenCheck checked(const std::string& name, const HostTensor& golden, const HostTensor& computed,
                    const Tolerance& tolerance) {
  GoldenCheck check{.name = name, .shape = golden.shape(), .tolerance = tolerance.absolute};
  if (without_ones(golden.shape()) != without_ones(computed.shape())) {
    check.max_abs = check.max_rel = kIncomparable;
    check.pass = false;
    check.note = fmt::format("computed {}", to_string(computed.shape()));
    return check;
  }
  const std::vector<double> expected = doubles(golden), actual = doubles(computed);
  double magnitude = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    double error = std::abs(actual[i] - expected[i]);
    // A mean over nothing is no number in the reference either.
    if (std::isnan(error)) error = std::isnan(actual[i]) && std::isnan(expected[i]) ? 0.0 : kIncomparable;
    if (actual[i] == expected[i]) error = 0.0;
    check.max_abs = std::max(check.max_abs, error);
    const double size = std::isfinite(expected[i]) ? std::abs(expected[i]) : 0.0;
    magnitude = std::max(magnitude, size);
    if (error > tolerance.absolute + tolerance.relative * size) check.pass = false;
  }
  check.max_rel = magnitude > 0.0 ? check.max_abs / magnitude : check.max_abs;
  check.tolerance += tolerance.relative * magnitude;
  return check;
}

}  // namespace

GoldenTensors::GoldenTensors(SafetensorsFile file, std::function<Tolerance(const std::string&)> tolerance,
                             GoldenReport& report, std::string label)
    : file_(std::move(file)), tolerance_(std::move(tolerance)), report_(&report), label_(std::move(label)) {}

std::vector<std::string> GoldenTensors::names(std::string_view prefix) const {
  std::vector<std::string> found;
  for (const auto& [name, entry] : file_.entries())
    if (name.starts_with(prefix)) found.push_back(name);
  return found;
}

HostTensor GoldenTensors::input(const std::string& name) {
  seen_.insert(name);
  return file_.tensor(name);
}

HostTensor GoldenTensors::input(const std::string& name, const HostTensor& computed) {
  HostTensor stored = input(name);
  GoldenCheck check = checked(label_ + name, stored, computed, {});
  if (!check.pass) report_->checks.push_back(std::move(check));
  return stored;
}

GoldenCheck& GoldenTensors::compare(const std::string& name, const HostTensor& computed) {
  if (!file_.contains(name)) return report_->fail_check(label_ + name, "missing from " + file_.name());
  seen_.insert(name);
  const HostTensor golden = file_.tensor(name);
  const Tolerance tolerance = is_floating(golden.dtype()) ? tolerance_(name) : Tolerance();
  return report_->checks.emplace_back(checked(label_ + name, golden, computed, tolerance));
}

void GoldenTensors::compare_if_stored(const std::string& name, const HostTensor& computed) {
  if (file_.contains(name)) compare(name, computed);
}

void GoldenTensors::skip(std::string_view prefix) {
  for (const std::string& name : names(prefix)) {
    seen_.insert(name);
    report_->skipped.push_back(label_ + name);
  }
}

void GoldenTensors::finish() {
  for (const auto& [name, entry] : file_.entries()) {
    if (seen_.contains(name)) continue;
    report_->fail_check(label_ + name, "nothing here computes it").shape = entry.shape;
  }
}

double largest_magnitude(const HostTensor& tensor) {
  double magnitude = 0.0;
  for (const double value : doubles(tensor))
    if (std::isfinite(value)) magnitude = std::max(magnitude, std::abs(value));
  return magnitude;
}

ParameterStore state_dict(const std::filesystem::path& folder) {
  const std::filesystem::path safetensors = folder / "state_dict.safetensors";
  const WeightsFile file =
      WeightsFile::open(std::filesystem::exists(safetensors) ? safetensors : folder / "state_dict.pt");
  ParameterStore parameters;
  for (const auto& [name, type] : file.entries()) parameters.add(name, file.tensor(name));
  return parameters;
}

HostTensor stacked(const std::vector<HostTensor>& tensors) {
  if (tensors.empty()) return {};
  std::vector<std::int64_t> sizes = tensors.front().shape().sizes();
  sizes.insert(sizes.begin(), static_cast<std::int64_t>(tensors.size()));
  HostTensor stack(tensors.front().dtype(), Shape(std::move(sizes)));
  std::byte* out = stack.mutable_bytes().data();
  for (const HostTensor& tensor : tensors) {
    if (tensor.shape() != tensors.front().shape() || tensor.dtype() != tensors.front().dtype())
      fail(ErrorCode::internal, "[stacked] shapes {} and {}", to_string(tensor.shape()),
           to_string(tensors.front().shape()));
    std::memcpy(out, tensor.bytes().data(), tensor.byte_size());
    out += tensor.byte_size();
  }
  return stack;
}

}  // namespace capdiff
