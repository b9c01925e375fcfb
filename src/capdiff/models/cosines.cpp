#include "capdiff/models/cosines.h"

#include <functional>
#include <numeric>

#include "capdiff/base/error.h"

namespace capdiff {

HostTensor cosines(const HostTensor& a, const HostTensor& b) {
  if (a.shape().rank() != 2 || b.shape().rank() != 2 || a.shape()[1] != b.shape()[1])
    fail(ErrorCode::internal, "[cosines] shapes {} and {}", to_string(a.shape()), to_string(b.shape()));
  const auto width = static_cast<std::size_t>(a.shape()[1]);
  const auto row = [width](const HostTensor& matrix, std::int64_t i) {
    return matrix.values<float>().subspan(static_cast<std::size_t>(i) * width, width);
  };
  const auto product = [](float x, float y) { return static_cast<double>(x) * static_cast<double>(y); };
  HostTensor result(DType::f32, {a.shape()[0], b.shape()[0]});
  auto out = result.mutable_values<float>().begin();
  for (std::int64_t i = 0; i < a.shape()[0]; ++i)
    for (std::int64_t j = 0; j < b.shape()[0]; ++j) {
      const auto x = row(a, i), y = row(b, j);
      *out++ = static_cast<float>(std::transform_reduce(x.begin(), x.end(), y.begin(), 0.0, std::plus<>(), product));
    }
  return result;
}

}  // namespace capdiff
