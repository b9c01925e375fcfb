#include "capdiff/backends/onednn/dnnl_common.h"

#include <fmt/format.h>

#include <cstddef>
#include <new>

namespace capdiff::onednn {
namespace {

/// Memory of a thread that grows to the largest scratchpad it was asked for.
class Scratch {
 public:
  void* at_least(std::size_t bytes) {
    if (bytes > size_) {
      memory_.reset();
      memory_ = allocate_aligned(bytes);
      size_ = memory_ ? bytes : 0;
      if (!memory_) throw std::bad_alloc();
    }
    return memory_.get();
  }

 private:
  AlignedMemory memory_;
  std::size_t size_ = 0;
};

void append_eltwise(dnnl::post_ops& post_ops, dnnl::algorithm algorithm, float alpha = 0.0f, float beta = 0.0f) {
#if CAPDIFF_DNNL_V3
  post_ops.append_eltwise(algorithm, alpha, beta);
#else
  post_ops.append_eltwise(1.0f, algorithm, alpha, beta);
#endif
}

}  // namespace

std::string library_version() {
  const dnnl_version_t* const version = dnnl_version();
  return fmt::format("{}.{}.{}", version->major, version->minor, version->patch);
}

const dnnl::engine& cpu() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::memory::data_type dnnl_type(DType dtype) {
  using Type = dnnl::memory::data_type;
  return dtype == DType::bf16 ? Type::bf16 : dtype == DType::i8 ? Type::s8 : Type::f32;
}

void append_activation(dnnl::post_ops& post_ops, Activation activation) {
  using dnnl::algorithm;
  switch (activation) {
    case Activation::none: return;
    case Activation::gelu: return append_eltwise(post_ops, algorithm::eltwise_gelu_erf);
    case Activation::quick_gelu: return append_eltwise(post_ops, algorithm::eltwise_swish, 1.702f);
    case Activation::relu: return append_eltwise(post_ops, algorithm::eltwise_relu);
    case Activation::relu6: return append_eltwise(post_ops, algorithm::eltwise_clip, 0.0f, 6.0f);
    case Activation::tanh: return append_eltwise(post_ops, algorithm::eltwise_tanh);
    case Activation::silu: return append_eltwise(post_ops, algorithm::eltwise_swish, 1.0f);
  }
}

dnnl::primitive_attr attributes(const dnnl::post_ops& post_ops) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attributes.set_post_ops(post_ops);
  return attributes;
}

dnnl::memory wrap(const dnnl::memory::desc& desc, const void* data) {
  return dnnl::memory(desc, cpu(), const_cast<void*>(data));
}

PackedWeights::PackedWeights(const dnnl::memory& source, const dnnl::memory::desc& layout)
    : desc_(layout), bytes_(allocate_aligned(layout.get_size())) {
  if (!bytes_) throw std::bad_alloc();
  memory_ = wrap(desc_, bytes_.get());
  dnnl::stream stream(cpu());
  dnnl::memory from = source;
  dnnl::reorder(from, memory_).execute(stream, from, memory_);
  stream.wait();
}

void execute(const dnnl::primitive& primitive, const dnnl::memory::desc& scratchpad, std::vector<Argument> arguments) {
  thread_local Scratch scratch;
  thread_local const dnnl::stream stream(cpu());
  if (const std::size_t bytes = scratchpad.get_size())
    arguments.push_back({DNNL_ARG_SCRATCHPAD, wrap(scratchpad, scratch.at_least(bytes))});
  // The C interface takes an array; the C++ one would build a hash table first.
  std::vector<dnnl_exec_arg_t> raw;
  raw.reserve(arguments.size());
  for (const Argument& argument : arguments) raw.push_back({argument.id, argument.memory.get()});
  dnnl::error::wrap_c_api(
      dnnl_primitive_execute(primitive.get(), stream.get(), static_cast<int>(raw.size()), raw.data()),
      "a oneDNN primitive could not be executed");
}

}  // namespace capdiff::onednn
