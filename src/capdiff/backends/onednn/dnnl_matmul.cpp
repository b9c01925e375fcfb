#include "capdiff/backends/onednn/dnnl_matmul.h"

#include <string_view>

#include "capdiff/backends/onednn/dnnl_common.h"
#include "capdiff/backends/onednn/parallel.h"
#include "capdiff/base/error.h"

namespace capdiff::onednn {
namespace {

using Tag = dnnl::memory::format_tag;
using Type = dnnl::memory::data_type;

/// Bounds the memory of jitted code when row counts never repeat.
constexpr std::size_t kMaxMatmulKernels = 1024;

dnnl::matmul::primitive_desc describe(const MatmulSpec& spec, const dnnl::memory::desc& weights, bool fused) {
  const bool integers = spec.compute == DType::i8;
  const dnnl::memory::desc x({spec.rows, spec.in}, integers ? Type::u8 : dnnl_type(spec.compute), Tag::ab);
  const dnnl::memory::desc y({spec.rows, spec.out}, integers ? Type::s32 : Type::f32, Tag::ab);
  const dnnl::memory::desc bias =
      spec.bias ? dnnl::memory::desc({1, spec.out}, Type::f32, Tag::ab) : dnnl::memory::desc();
  dnnl::post_ops post_ops;
  if (fused) append_activation(post_ops, spec.activation);
  if (fused && spec.residual) post_ops.append_binary(dnnl::algorithm::binary_add, y);
#if CAPDIFF_DNNL_V3
  return {cpu(), x, weights, bias, y, attributes(post_ops)};
#else
  return {spec.bias ? dnnl::matmul::desc(x, weights, bias, y) : dnnl::matmul::desc(x, weights, y), attributes(post_ops),
          cpu()};
#endif
}

/// oneDNN falls back to plain loops, some hundred times slower, where no optimised kernel fits.
bool is_reference(const dnnl::matmul::primitive_desc& description) {
  return std::string_view(description.impl_info_str()).starts_with("ref");
}

bool has_vnni() {
  constexpr auto kVnni = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_vnni);
  return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & kVnni) == kVnni;
}

/// The layout is the same for every number of rows; this one only has to be typical.
constexpr std::int64_t kPackingRows = 64;

}  // namespace

struct Matmul::Kernel {
  bool fused = true;
  dnnl::matmul primitive;
  dnnl::memory::desc x, bias, y, scratchpad;
  int residual_argument = 0;
};

Matmul::Matmul() = default;
Matmul::~Matmul() = default;

bool Matmul::supports(DType compute) {
  if (compute == DType::i8 && !has_vnni()) return false;
  try {
    const dnnl::memory::desc weights({64, 64}, dnnl_type(compute), Tag::any);
    return !is_reference(describe({.rows = 16, .in = 64, .out = 64, .compute = compute}, weights, false));
  } catch (const dnnl::error&) {
    return false;
  }
}

std::shared_ptr<const PackedWeights> Matmul::pack(const void* weights, std::int64_t out, std::int64_t in, DType compute,
                                                  int threads) {
  try {
    const ThreadLimit limit(threads);
    const dnnl::memory::desc any({in, out}, dnnl_type(compute), Tag::any);
    const auto wanted = describe({.rows = kPackingRows, .in = in, .out = out, .compute = compute}, any, false);
    const dnnl::memory::desc plain({in, out}, dnnl_type(compute), Tag::ba);
    return std::make_shared<const PackedWeights>(wrap(plain, weights), wanted.weights_desc());
  } catch (const dnnl::error& error) {
    fail(ErrorCode::internal, "[bind_linear] oneDNN cannot pack weights [{}, {}]: {}", out, in, error.what());
  }
}

bool Matmul::run(const MatmulSpec& spec, const PackedWeights& weights, const MatmulArguments& arguments) {
  const auto kernel = this->kernel(spec, weights);
  std::vector<Argument> list;
  list.reserve(6);
  list.push_back({DNNL_ARG_SRC, wrap(kernel->x, arguments.x)});
  list.push_back({DNNL_ARG_WEIGHTS, weights.memory()});
  list.push_back({DNNL_ARG_DST, wrap(kernel->y, arguments.y)});
  if (spec.bias) list.push_back({DNNL_ARG_BIAS, wrap(kernel->bias, arguments.bias)});
  if (kernel->fused && spec.residual) list.push_back({kernel->residual_argument, wrap(kernel->y, arguments.residual)});
  try {
    const ThreadLimit limit(spec.threads);
    execute(kernel->primitive, kernel->scratchpad, std::move(list));
    return kernel->fused;
  } catch (const dnnl::error& error) {
    fail(ErrorCode::internal, "[linear] oneDNN failed: {}", error.what());
  }
}

std::shared_ptr<const Matmul::Kernel> Matmul::kernel(const MatmulSpec& spec, const PackedWeights& weights) {
  const std::lock_guard lock(mutex_);
  if (const auto found = kernels_.find(spec); found != kernels_.end()) return found->second;
  try {
    const ThreadLimit limit(spec.threads);  // oneDNN plans for the threads it sees here
    auto made = std::make_shared<Kernel>();
    auto description = describe(spec, weights.desc(), true);
    if ((spec.activation != Activation::none || spec.residual) && is_reference(description)) {
      description = describe(spec, weights.desc(), false);
      made->fused = false;
    }
    made->primitive = dnnl::matmul(description);
    made->x = description.src_desc();
    made->y = description.dst_desc();
    if (spec.bias) made->bias = dnnl::memory::desc({1, spec.out}, Type::f32, Tag::ab);
    made->scratchpad = description.scratchpad_desc();
    const int position = spec.activation == Activation::none ? 0 : 1;
    made->residual_argument = DNNL_ARG_ATTR_MULTIPLE_POST_OP(position) | DNNL_ARG_SRC_1;
    if (kernels_.size() >= kMaxMatmulKernels) kernels_.clear();
    return kernels_[spec] = std::move(made);
  } catch (const dnnl::error& error) {
    fail(ErrorCode::internal, "[linear] oneDNN has no product of [{}, {}] and [{}, {}]: {}", spec.rows, spec.in,
         spec.in, spec.out, error.what());
  }
}

}  // namespace capdiff::onednn
