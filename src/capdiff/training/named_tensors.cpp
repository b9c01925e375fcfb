#include "capdiff/training/named_tensors.h"

#include <algorithm>
#include <memory>

namespace capdiff {

HostTensor host_view(const torch::Tensor& tensor) {
  auto owner = std::make_shared<torch::Tensor>(tensor.detach().to(torch::kCPU, torch::kFloat32).contiguous());
  const auto* data = reinterpret_cast<const std::byte*>(owner->data_ptr<float>());
  return HostTensor::view(DType::f32, Shape(owner->sizes().vec()),
                          {data, static_cast<std::size_t>(owner->numel()) * sizeof(float)}, owner);
}

void load_into(torch::Tensor tensor, const SafetensorsFile& file, const std::string& name) {
  const HostTensor stored = file.tensor(name, Shape(tensor.sizes().vec())).to(DType::f32);
  require_finite(stored, name, file.name());
  torch::NoGradGuard no_grad;
  // from_blob takes a mutable pointer, but this view of it is only read.
  auto* data = const_cast<float*>(stored.values<float>().data());
  tensor.copy_(torch::from_blob(data, tensor.sizes(), torch::kFloat32));
}

bool all_on_cpu(const NamedTensors& tensors) {
  return std::ranges::all_of(tensors, [](const auto& named) { return named.second.device().is_cpu(); });
}

std::vector<Piece> cut_into_pieces(const NamedTensors& tensors) {
  constexpr std::int64_t kElements = 16384;
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::int64_t size = tensors[i].second.numel();
    for (std::int64_t begin = 0; begin < size; begin += kElements) {
      pieces.push_back({i, begin, std::min(size, begin + kElements)});
    }
  }
  return pieces;
}

}  // namespace capdiff
