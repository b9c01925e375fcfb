#include <algorithm>
#include <array>
#include <vector>

#include "capdiff/backends/onednn/kernels.h"
#include "capdiff/backends/onednn/onednn_backend.h"
#include "capdiff/backends/onednn/parallel.h"
#include "capdiff/base/error.h"

namespace capdiff::onednn {
namespace {

/// NumPy's rule: sizes are aligned at the end, and a size of 1 stretches.
Shape broadcast_shape(std::string_view operation, std::span<const Value* const> operands) {
  std::size_t rank = 0;
  for (const Value* operand : operands) {
    expect_value(operation, *operand);
    rank = std::max(rank, operand->shape().rank());
  }
  std::vector<std::int64_t> sizes(rank, 1);
  for (const Value* operand : operands) {
    const auto& own = operand->shape().sizes();
    const std::size_t offset = rank - own.size();
    for (std::size_t i = 0; i < own.size(); ++i) {
      std::int64_t& size = sizes[offset + i];
      if (size == 1) {
        size = own[i];
      } else if (own[i] != 1 && own[i] != size) {
        std::string shapes;
        for (const Value* shown : operands) shapes += (shapes.empty() ? "" : ", ") + to_string(shown->shape());
        fail(ErrorCode::internal, "[{}] the shapes {} do not broadcast", operation, shapes);
      }
    }
  }
  return Shape(std::move(sizes));
}

/// The axes of a broadcast, neighbours merged where every operand walks through both in one stride.
template <std::size_t N>
struct Walk {
  struct Axis {
    std::int64_t size;
    std::array<std::int64_t, N> strides;  // of each operand; 0 where it is stretched
  };
  std::vector<Axis> outer;
  Axis inner{1, {}};  // strides 0 or 1
};

template <std::size_t N>
Walk<N> plan(const Shape& shape, const std::array<const Value*, N>& operands) {
  const std::size_t rank = shape.rank();
  Walk<N> walk;
  std::array<std::int64_t, N> reach;
  reach.fill(1);
  std::vector<typename Walk<N>::Axis> axes;  // innermost first
  for (std::size_t back = 1; back <= rank; ++back) {
    const std::int64_t size = shape.sizes()[rank - back];
    if (size == 1) continue;
    typename Walk<N>::Axis axis{size, {}};
    for (std::size_t n = 0; n < N; ++n) {
      const auto& own = operands[n]->shape().sizes();
      const std::int64_t own_size = back <= own.size() ? own[own.size() - back] : 1;
      axis.strides[n] = own_size == 1 ? 0 : reach[n];
      reach[n] *= own_size;
    }
    bool merges = !axes.empty();
    for (std::size_t n = 0; merges && n < N; ++n) merges = axis.strides[n] == axes.back().strides[n] * axes.back().size;
    if (merges)
      axes.back().size *= size;
    else
      axes.push_back(axis);
  }
  if (!axes.empty()) {
    walk.inner = axes.front();
    walk.outer.assign(axes.rbegin(), axes.rend() - 1);
  }
  return walk;
}

/// y[i] = function(operands[i]…), where the operands whose bit is set in `Stretched` give their first element
/// throughout.
template <unsigned Stretched, class T, class F, class... Operands, std::size_t... Index>
void inner_loop(std::index_sequence<Index...>, std::int64_t n, T* y, F function, const Operands*... operands) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) y[i] = function(operands[(Stretched >> Index & 1u) != 0 ? 0 : i]...);
}

/// The same with `stretched` known at run time only: every combination is a loop of its own, so that all are
/// vectorised.
template <class T, class F, class... Operands>
void inner_loop(unsigned stretched, std::int64_t n, T* y, F function, const Operands*... operands) {
  constexpr std::size_t kCount = sizeof...(Operands);
  [&]<std::size_t... Case>(std::index_sequence<Case...>) {
    ((stretched == Case ? inner_loop<Case>(std::make_index_sequence<kCount>{}, n, y, function, operands...) : void()),
     ...);
  }
  (std::make_index_sequence<std::size_t{1} << kCount>{});
}

template <class T, class F, class... Operands>
void broadcast(const Shape& shape, T* y, int threads, F function,
               const std::array<const Value*, sizeof...(Operands)>& values, const Operands*... operands) {
  constexpr std::size_t kCount = sizeof...(Operands);
  if (shape.numel() == 0) return;
  const Walk<kCount> walk = plan<kCount>(shape, values);
  const std::int64_t inner = walk.inner.size;
  unsigned stretched = 0;
  for (std::size_t n = 0; n < kCount; ++n) stretched |= walk.inner.strides[n] == 0 ? 1u << n : 0u;
  const auto run = [&](std::int64_t row, std::int64_t begin, std::int64_t end) {
    std::array<std::int64_t, kCount> offsets{};
    std::int64_t rest = row;
    for (auto axis = walk.outer.rbegin(); axis != walk.outer.rend(); ++axis) {
      const std::int64_t index = rest % axis->size;
      rest /= axis->size;
      for (std::size_t n = 0; n < kCount; ++n) offsets[n] += index * axis->strides[n];
    }
    [&]<std::size_t... Index>(std::index_sequence<Index...>) {
      inner_loop(stretched, end - begin, y + row * inner + begin, function,
                 (operands + offsets[Index] + begin * walk.inner.strides[Index])...);
    }
    (std::make_index_sequence<kCount>{});
  };
  // Parts of one long row, or whole rows.
  if (walk.outer.empty())
    parallel_ranges(inner, threads, [&](std::int64_t begin, std::int64_t end) { run(0, begin, end); });
  else
    parallel_ranges(shape.numel() / inner, threads, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) run(row, 0, inner);
    });
}

}  // namespace

Value OneDnnBackend::add(const Value& a, const Value& b) {
  const float *x = floats("add", a), *y = floats("add", b);
  const std::array<const Value*, 2> operands{&a, &b};
  auto result = output<float>(broadcast_shape("add", operands));
  broadcast(
      result.value.shape(), result.data, threads_for(static_cast<double>(result.value.shape().numel())),
      [](float p, float q) { return p + q; }, operands, x, y);
  return result.value;
}

Value OneDnnBackend::mul(const Value& a, const Value& b) {
  const float *x = floats("mul", a), *y = floats("mul", b);
  const std::array<const Value*, 2> operands{&a, &b};
  auto result = output<float>(broadcast_shape("mul", operands));
  broadcast(
      result.value.shape(), result.data, threads_for(static_cast<double>(result.value.shape().numel())),
      [](float p, float q) { return p * q; }, operands, x, y);
  return result.value;
}

Value OneDnnBackend::scale_add(float alpha, const Value& a, float beta, const Value& b) {
  const float *x = floats("scale_add", a), *y = floats("scale_add", b);
  const std::array<const Value*, 2> operands{&a, &b};
  auto result = output<float>(broadcast_shape("scale_add", operands));
  broadcast(
      result.value.shape(), result.data, threads_for(static_cast<double>(result.value.shape().numel())),
      [=](float p, float q) { return alpha * p + beta * q; }, operands, x, y);
  return result.value;
}

Value OneDnnBackend::select(const Value& mask, const Value& a, const Value& b) {
  const float* const condition = floats("select", mask);
  const std::array<const Value*, 3> operands{&mask, &a, &b};
  const Shape shape = broadcast_shape("select", operands);
  if (a.dtype() != b.dtype())
    fail(ErrorCode::internal, "[select] a is {}, b is {}", name_of(a.dtype()), name_of(b.dtype()));
  const int threads = threads_for(static_cast<double>(shape.numel()));
  const auto choose = [&]<class T>(const T* x, const T* y) {
    auto result = output<T>(shape);
    broadcast(
        shape, result.data, threads, [](float m, T p, T q) { return m != 0.0f ? p : q; }, operands, condition, x, y);
    return result.value;
  };
  if (a.dtype() == DType::i64) return choose(integers("select", a), integers("select", b));
  return choose(floats("select", a), floats("select", b));
}

Value OneDnnBackend::activation(const Value& x, Activation activation) {
  const float* const input = floats("activation", x);
  auto result = output<float>(x.shape());
  const std::int64_t n = x.shape().numel();
  parallel_ranges(n, threads_for(4.0 * static_cast<double>(n)), [&](std::int64_t begin, std::int64_t end) {
    activate(activation, input + begin, result.data + begin, end - begin);
  });
  return result.value;
}

}  // namespace capdiff::onednn
