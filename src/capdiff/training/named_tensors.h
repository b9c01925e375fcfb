#pragma once

#include <ATen/Parallel.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "capdiff/backends/torch/torch_headers.h"
#include "capdiff/formats/safetensors.h"
#include "capdiff/tensor/host_tensor.h"

namespace capdiff {

/// Tensors that the optimiser works on, under their names in a checkpoint.
using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

/// An f32 tensor's values in host memory. A contiguous tensor on the CPU is shared rather than copied: later changes
/// show.
HostTensor host_view(const torch::Tensor& tensor);

/// Overwrites an f32 tensor with the file's tensor `name`, which must have its shape.
void load_into(torch::Tensor tensor, const SafetensorsFile& file, const std::string& name);

/// Whether elementwise work on these tensors can run over plain pointers: all on the CPU.
bool all_on_cpu(const NamedTensors& tensors);

/// A run of consecutive elements of one tensor out of a list.
struct Piece {
  std::size_t tensor = 0;
  std::int64_t begin = 0, end = 0;
};

/// Cuts tensors into pieces of at most 16,384 elements, which threads take in turn: many small tensors then cost no
/// more than one large one. The cut does not depend on the number of threads, so sums over pieces do not either.
std::vector<Piece> cut_into_pieces(const NamedTensors& tensors);

/// Calls work(i) for every piece i, on all CPU threads.
template <class Work>
void for_each_piece(std::span<const Piece> pieces, const Work& work) {
  at::parallel_for(0, static_cast<std::int64_t>(pieces.size()), 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) work(static_cast<std::size_t>(i));
  });
}

}  // namespace capdiff
