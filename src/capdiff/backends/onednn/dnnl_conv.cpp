#include "capdiff/backends/onednn/dnnl_conv.h"

#include <string_view>
#include <vector>

#include "capdiff/backends/onednn/dnnl_common.h"
#include "capdiff/backends/onednn/parallel.h"
#include "capdiff/base/error.h"

namespace capdiff::onednn {
namespace {

using Tag = dnnl::memory::format_tag;
using Type = dnnl::memory::data_type;

constexpr std::size_t kMaxConvKernels = 1024;

/// Row-major weights as the convolution sees them: groups are an axis of their own.
dnnl::memory::desc weights_desc(const ConvSpec& spec, Type type, bool any) {
  const std::int64_t in = spec.in / spec.groups;
  if (spec.groups == 1)
    return {{spec.out, in, spec.kernel_height, spec.kernel_width}, type, any ? Tag::any : Tag::abcd};
  return {{spec.groups, spec.out / spec.groups, in, spec.kernel_height, spec.kernel_width},
          type,
          any ? Tag::any : Tag::abcde};
}

dnnl::convolution_forward::primitive_desc describe(const ConvSpec& spec) {
  const Type type = dnnl_type(spec.compute);
  const dnnl::memory::desc x({spec.batch, spec.in, spec.height, spec.width}, type, Tag::nhwc);
  const dnnl::memory::desc y({spec.batch, spec.out, spec.out_height, spec.out_width}, Type::f32, Tag::nhwc);
  const dnnl::memory::desc weights = weights_desc(spec, type, true);
  const dnnl::memory::desc bias = spec.bias ? dnnl::memory::desc({spec.out}, Type::f32, Tag::a) : dnnl::memory::desc();
  const dnnl::memory::dims strides{spec.stride, spec.stride};
  const dnnl::memory::dims dilation{0, 0};
  const dnnl::memory::dims before{spec.pad_top, spec.pad_left};
  const dnnl::memory::dims after{spec.pad_bottom, spec.pad_right};
  dnnl::post_ops post_ops;
  append_activation(post_ops, spec.activation);
  constexpr auto kind = dnnl::prop_kind::forward_inference;
  constexpr auto algorithm = dnnl::algorithm::convolution_direct;
#if CAPDIFF_DNNL_V3
  return {cpu(), kind, algorithm, x, weights, bias, y, strides, dilation, before, after, attributes(post_ops)};
#else
  using Operation = dnnl::convolution_forward::desc;
  const Operation operation = spec.bias
                                  ? Operation(kind, algorithm, x, weights, bias, y, strides, dilation, before, after)
                                  : Operation(kind, algorithm, x, weights, y, strides, dilation, before, after);
  return {operation, attributes(post_ops), cpu()};
#endif
}

}  // namespace

struct ConvWeights::Layouts {
  std::mutex mutex;
  std::vector<PackedWeights> packed;

  dnnl::memory get(const ConvSpec& spec, const dnnl::memory::desc& wanted, const HostTensor& plain) {
    const std::lock_guard lock(mutex);
    for (const PackedWeights& known : packed)
      if (known.desc() == wanted) return known.memory();
    return packed.emplace_back(wrap(weights_desc(spec, Type::f32, false), plain.bytes().data()), wanted).memory();
  }
};

ConvWeights::ConvWeights(HostTensor weights, std::optional<HostTensor> bias)
    : weights_(std::move(weights)), bias_(std::move(bias)), layouts_(std::make_unique<Layouts>()) {}
ConvWeights::~ConvWeights() = default;

struct Conv::Kernel {
  dnnl::convolution_forward primitive;
  dnnl::memory::desc x, weights, bias, y, scratchpad;
};

Conv::Conv() = default;
Conv::~Conv() = default;

bool Conv::supports(const ConvSpec& spec) {
  const std::lock_guard lock(mutex_);
  if (const auto found = supported_.find(spec); found != supported_.end()) return found->second;
  bool supported = false;
  try {
    supported = !std::string_view(describe(spec).impl_info_str()).starts_with("ref");
  } catch (const dnnl::error&) {
    // oneDNN reports what it has no implementation for by throwing.
  }
  if (supported_.size() >= kMaxConvKernels) supported_.clear();
  return supported_[spec] = supported;
}

void Conv::run(const ConvSpec& spec, const ConvWeights& weights, const void* x, float* y) {
  const auto kernel = this->kernel(spec);
  try {
    const ThreadLimit limit(spec.threads);
    std::vector<Argument> list;
    list.reserve(5);
    list.push_back({DNNL_ARG_SRC, wrap(kernel->x, x)});
    list.push_back({DNNL_ARG_WEIGHTS, weights.layouts_->get(spec, kernel->weights, weights.weights_)});
    list.push_back({DNNL_ARG_DST, wrap(kernel->y, y)});
    if (spec.bias) list.push_back({DNNL_ARG_BIAS, wrap(kernel->bias, weights.bias())});
    execute(kernel->primitive, kernel->scratchpad, std::move(list));
  } catch (const dnnl::error& error) {
    fail(ErrorCode::internal, "[conv2d] oneDNN failed: {}", error.what());
  }
}

std::shared_ptr<const Conv::Kernel> Conv::kernel(const ConvSpec& spec) {
  const std::lock_guard lock(mutex_);
  if (const auto found = kernels_.find(spec); found != kernels_.end()) return found->second;
  try {
    const ThreadLimit limit(spec.threads);  // oneDNN plans for the threads it sees here
    const auto description = describe(spec);
    auto made = std::make_shared<Kernel>();
    made->primitive = dnnl::convolution_forward(description);
    made->x = description.src_desc();
    made->weights = description.weights_desc();
    made->y = description.dst_desc();
    if (spec.bias) made->bias = dnnl::memory::desc({spec.out}, Type::f32, Tag::a);
    made->scratchpad = description.scratchpad_desc();
    if (kernels_.size() >= kMaxConvKernels) kernels_.clear();
    return kernels_[spec] = std::move(made);
  } catch (const dnnl::error& error) {
    fail(ErrorCode::internal,
         "[conv2d] oneDNN has no convolution of {} images {} x {} x {} with {} kernels {} x {}: {}", spec.batch,
         spec.height, spec.width, spec.in, spec.out, spec.kernel_height, spec.kernel_width, error.what());
  }
}

}  // namespace capdiff::onednn
