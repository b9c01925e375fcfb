#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "capdiff/formats/pickle.h"
#include "capdiff/tensor/dtype.h"
#include "capdiff/tensor/shape.h"

namespace capdiff {

/// A tensor as torch pickles it: a strided window on a storage, whose elements are kept elsewhere under a key.
struct TorchTensor {
  DType dtype = DType::f32;
  std::string storage;             ///< the storage's key
  std::int64_t storage_numel = 0;  ///< elements that the storage is said to have
  std::int64_t offset = 0;         ///< elements before the first
  Shape shape;
  std::vector<std::int64_t> strides;  ///< in elements, not negative
};

/// The names that a pickle of tensors may hold.
std::span<const std::string_view> torch_globals();

/// All tensors below the root by their paths: keys of dictionaries and indices of lists, joined by "."; a root that is
/// a tensor itself has the path "". Other values are passed over. Each tensor lies within its storage; nothing is read
/// of storages. Throws `Error(invalid_model)` that names `file` and the tensor for anything that is not exactly how
/// torch describes tensors, for containers nested deeper than 64 levels, and for two tensors of one path.
std::map<std::string, TorchTensor, std::less<>> torch_tensors(const Pickle& pickle, const std::string& file);

}  // namespace capdiff
