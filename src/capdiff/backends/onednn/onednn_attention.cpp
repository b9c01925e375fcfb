#include <algorithm>
#include <mutex>
#include <vector>

#include "capdiff/backends/onednn/kernels.h"
#include "capdiff/backends/onednn/onednn_backend.h"
#include "capdiff/backends/onednn/parallel.h"
#include "capdiff/backends/onednn/simd.h"
#include "capdiff/base/error.h"

namespace capdiff::onednn {
namespace {

/// Up to so many queries of a row, as when words are written one by one, keys are read from where they are. Rows that
/// share keys do not count, so that a row's result does not depend on how many there are.
constexpr std::int64_t kFewQueries = 2;

/// Multiply-adds of attention that take about as long as one elementary step.
constexpr double kAttentionProductsPerStep = 8.0;

/// Rows of a [B, L, D], `stride` elements from each other.
struct Rows {
  const float* first;
  std::int64_t stride;
};

Rows rows_of(const Value& value) {
  expect_value("attention", value);
  if (value.shape().rank() == 3 && value.dtype() == DType::f32) {
    const Buffer& buffer = buffer_of(value);
    const std::size_t row_bytes = static_cast<std::size_t>(value.shape()[2]) * sizeof(float);
    if (buffer.rows != 0 && buffer.row_bytes == row_bytes)
      return {reinterpret_cast<const float*>(buffer.bytes),
              static_cast<std::int64_t>(buffer.stride_bytes / sizeof(float))};
  }
  return {floats("attention", value), value.shape().rank() == 0 ? 0 : value.shape().cols()};
}

/// One call of attention: q [B, Lq, D], k [Bk, Lk, D], v [Bk, Lk, Dv].
struct AttentionCall {
  Rows queries, keys, values;
  const float* mask;  // [Bk, Lk], or null
  float* result;
  std::int64_t key_batch, repeats;  // B = Bk · repeats
  std::int64_t lq, lk, heads, width, value_width;
  bool causal, bf16;

  /// Head `group` % heads of row `group` / heads of the keys, without queries.
  AttentionHead keys_of(std::int64_t group) const {
    const std::int64_t head = group % heads, key_row = group / heads;
    AttentionHead work;
    work.keys = lk;
    work.width = width / heads;
    work.value_width = value_width / heads;
    work.k = keys.first + key_row * lk * keys.stride + head * work.width;
    work.v = values.first + key_row * lk * values.stride + head * work.value_width;
    work.q_stride = queries.stride;
    work.k_stride = keys.stride;
    work.v_stride = values.stride;
    work.y_stride = value_width;
    work.key_mask = mask ? mask + key_row * lk : nullptr;
    work.causal = causal;
    work.bf16 = bf16;
    return work;
  }
};

/// Keys and values laid out once for many calls, in the buffer of the keys.
struct LastingKeys {
  std::vector<PackedKeys> groups;  // of rows of keys and heads
  std::shared_ptr<std::byte> memory;
  Shape shape;  // of k
  std::int64_t heads = 0;
  std::weak_ptr<const Value::Storage> values;  // that of k may be the same
};

/// Those of k and v, laid out here if nobody did before; null where they were laid out for calls of another kind.
std::shared_ptr<const LastingKeys> lasting_keys(const Value& k, const Value& v, const AttentionCall& call, int threads,
                                                BufferPool& pool) {
  const auto lay_out = [&] {
    const std::int64_t groups = call.key_batch * call.heads, size = PackedKeys::memory_of(call.keys_of(0));
    auto made = std::make_shared<LastingKeys>();
    made->groups.resize(static_cast<std::size_t>(groups));
    made->memory = pool.allocate(checked_bytes({groups, size}, sizeof(float)));
    made->shape = k.shape();
    made->heads = call.heads;
    made->values = v.storage();
    auto* const memory = reinterpret_cast<float*>(made->memory.get());
    parallel_ranges(groups, threads, [&](std::int64_t begin, std::int64_t end) {
      AttentionScratch scratch;
      for (std::int64_t group = begin; group < end; ++group)
        made->groups[static_cast<std::size_t>(group)].pack(call.keys_of(group), memory + group * size, scratch);
    });
    return made;
  };
  const auto found = std::static_pointer_cast<const LastingKeys>(buffer_of(k).lasting_keys.get_or_make(lay_out));
  const bool same = found->shape == k.shape() && found->heads == call.heads && found->values.lock() == v.storage();
  return same ? found : nullptr;
}

}  // namespace

Value OneDnnBackend::attention(const Value& q, const Value& k, const Value& v, const AttentionOptions& options) {
  AttentionCall call;
  call.queries = rows_of(q);
  call.keys = rows_of(k);
  call.values = rows_of(v);
  const auto mismatch = [&](std::string_view expected) {
    fail(ErrorCode::internal, "[attention] q {}, k {}, v {} with {} heads: {}", to_string(q.shape()),
         to_string(k.shape()), to_string(v.shape()), options.heads, expected);
  };
  if (q.shape().rank() != 3 || k.shape().rank() != 3 || v.shape().rank() != 3)
    mismatch("expected q [B, Lq, D], k [Bk, Lk, D] and v [Bk, Lk, Dv]");
  const std::int64_t batch = q.shape()[0], key_batch = k.shape()[0];
  const std::int64_t lq = q.shape()[1], lk = k.shape()[1];
  const std::int64_t width = q.shape()[2], value_width = v.shape()[2];
  const std::int64_t heads = options.heads;
  if (k.shape()[2] != width) mismatch("q and k differ in their last axis");
  if (v.shape()[0] != key_batch || v.shape()[1] != lk) mismatch("k and v differ in batch or length");
  if (heads < 1 || width % heads != 0 || value_width % heads != 0) mismatch("the heads do not divide the widths");
  if (key_batch == 0 ? batch != 0 : batch % key_batch != 0) mismatch("B is not a multiple of Bk");
  if (options.causal && lq != lk) mismatch("causal attention needs as many queries as keys");
  call.mask = options.key_mask ? floats("attention", options.key_mask) : nullptr;
  if (call.mask && options.key_mask.shape() != Shape{key_batch, lk})
    fail(ErrorCode::internal, "[attention] the key mask has shape {}, expected [{}, {}]",
         to_string(options.key_mask.shape()), key_batch, lk);

  const Shape shape{batch, lq, value_width};
  auto result = output<float>(shape);
  if (shape.numel() == 0) return result.value;
  call.result = result.data;
  call.key_batch = key_batch;
  call.repeats = batch / key_batch;
  call.lq = lq;
  call.lk = lk;
  call.heads = heads;
  call.width = width;
  call.value_width = value_width;
  call.causal = options.causal;
  call.bf16 = options_.compute != DType::f32 && has_avx512_bf16();

  // One task is a head of one row of keys with all or, when there are too few heads to go round, some of the rows of
  // queries and of the queries of a row.
  const bool few = lq <= kFewQueries;
  const int threads = threads_for(static_cast<double>(batch * lq) * static_cast<double>(lk) *
                                  static_cast<double>(width + value_width) / kAttentionProductsPerStep);
  const std::int64_t groups = key_batch * heads;
  const std::int64_t parts = std::clamp<std::int64_t>(threads / groups, 1, call.repeats * lq);
  const std::int64_t batch_parts = std::min(parts, call.repeats);
  const std::int64_t query_parts = parts / batch_parts;
  const std::int64_t part_batches = (call.repeats + batch_parts - 1) / batch_parts;
  const std::int64_t part_queries = (lq + query_parts - 1) / query_parts;
  const auto lasting = options.lasting_keys && !few ? lasting_keys(k, v, call, threads, *pool_) : nullptr;

  parallel_ranges(groups * batch_parts * query_parts, threads, [&](std::int64_t begin, std::int64_t end) {
    thread_local AttentionScratch scratch;
    PackedKeys passing;
    for (std::int64_t task = begin; task < end; ++task) {
      const std::int64_t query_part = task % query_parts;
      const std::int64_t batch_part = task / query_parts % batch_parts;
      const std::int64_t group = task / (query_parts * batch_parts);
      const std::int64_t head = group % heads, key_row = group / heads;
      AttentionHead work = call.keys_of(group);
      work.first_query = std::min(lq, query_part * part_queries);
      work.queries = std::min(lq - work.first_query, part_queries);
      if (!few && !lasting) {
        scratch.packed.resize(static_cast<std::size_t>(PackedKeys::memory_of(work)));
        passing.pack(work, scratch.packed.data(), scratch);
      }
      const PackedKeys& packed = lasting ? lasting->groups[static_cast<std::size_t>(group)] : passing;
      const std::int64_t last = std::min(call.repeats, (batch_part + 1) * part_batches);
      for (std::int64_t repeat = batch_part * part_batches; repeat < last; ++repeat) {
        const std::int64_t row = (key_row * call.repeats + repeat) * lq + work.first_query;
        work.q = call.queries.first + row * call.queries.stride + head * work.width;
        work.y = call.result + row * value_width + head * work.value_width;
        few ? attend_in_place(work, scratch) : packed.attend(work, scratch);
      }
    }
  });
  return result.value;
}

}  // namespace capdiff::onednn
