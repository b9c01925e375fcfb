#pragma once

#include <cstdint>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <vector>

#include "capdiff/backends/backend.h"
#include "capdiff/base/aligned_memory.h"

namespace capdiff::onednn {

/// True for oneDNN 3 and later, which create primitives without operation descriptors.
#define CAPDIFF_DNNL_V3 (DNNL_VERSION_MAJOR >= 3)

/// Of oneDNN, "2.7.3".
std::string library_version();

/// The CPU, created on first use.
const dnnl::engine& cpu();

/// bf16, f32 or, as weights, i8, as oneDNN names them.
dnnl::memory::data_type dnnl_type(DType dtype);

/// Appends an activation to be applied to what a primitive computed.
void append_activation(dnnl::post_ops& post_ops, Activation activation);

/// Attributes with these post-operations and a scratchpad that the caller provides, so that one primitive may run on
/// several threads at once.
dnnl::primitive_attr attributes(const dnnl::post_ops& post_ops);

/// Describes memory at `data`; oneDNN takes constants through the same type.
dnnl::memory wrap(const dnnl::memory::desc& desc, const void* data);

/// Weights in the layout that a primitive asked for.
class PackedWeights {
 public:
  /// Copies `source` into another layout or element type. Throws `std::bad_alloc` where there is no memory.
  PackedWeights(const dnnl::memory& source, const dnnl::memory::desc& layout);
  const dnnl::memory& memory() const { return memory_; }
  const dnnl::memory::desc& desc() const { return desc_; }

 private:
  dnnl::memory::desc desc_;
  AlignedMemory bytes_;
  dnnl::memory memory_;
};

/// One argument of a primitive.
struct Argument {
  int id;
  dnnl::memory memory;
};

/// Runs a primitive on the calling thread's stream and with the calling thread's scratch memory.
void execute(const dnnl::primitive& primitive, const dnnl::memory::desc& scratchpad, std::vector<Argument> arguments);

}  // namespace capdiff::onednn
