#include "tests/backends/op_reference.h"

namespace capdiff::test {
namespace {

struct AttentionCase {
  std::string name;
  std::int64_t batch, key_batch, lq, lk, heads, width, value_width;
  bool masked = false;
  bool causal = false;
};

void attention(Backend& backend, const AttentionCase& c) {
  const Array q = random({c.batch, c.lq, c.heads * c.width}, 40, -3, 3);
  const Array k = random({c.key_batch, c.lk, c.heads * c.width}, 41, -3, 3);
  const Array v = random({c.key_batch, c.lk, c.heads * c.value_width}, 42);
  Array mask;
  if (c.masked) {
    mask = zeros({c.key_batch, c.lk});
    // Different keys in every row; the first is always seen, so that causal rows have something to attend to.
    for (std::int64_t b = 0; b < c.key_batch; ++b)
      for (std::int64_t j = 0; j < c.lk; ++j) mask[b * c.lk + j] = j == 0 || (j + b) % 3 != 1 ? 1.0 : 0.0;
  }
  AttentionOptions options;
  options.heads = c.heads;
  options.causal = c.causal;
  options.dropout = 0.5f;
  if (c.masked) options.key_mask = upload(backend, mask);
  const Value got = backend.attention(upload(backend, q), upload(backend, k), upload(backend, v), options);
  expect_close(backend, got, reference::attention(q, k, v, c.heads, mask, c.causal), attention_tolerance(backend));
}

/// Masked keys must not leak, however large their scores and values are.
void attention_ignores_masked(Backend& backend) {
  Array k = random({1, 4, 6}, 43), v = random({1, 4, 6}, 44);
  const Array q = random({1, 3, 6}, 45), mask = array({1, 4}, {1, 0, 1, 0});
  AttentionOptions options;
  options.heads = 2;
  options.key_mask = upload(backend, mask);
  const Value before = backend.attention(upload(backend, q), upload(backend, k), upload(backend, v), options);
  for (const std::int64_t j : {1, 3})
    for (std::int64_t c = 0; c < 6; ++c) {
      k[j * 6 + c] = 1e4;
      v[j * 6 + c] = -1e6;
    }
  const Value after = backend.attention(upload(backend, q), upload(backend, k), upload(backend, v), options);
  const HostTensor want = backend.download(before);
  expect_close(backend, after, {want.shape(), {want.values<float>().begin(), want.values<float>().end()}}, 0.0);
}

/// A row whose keys are all masked has probabilities of exactly 0, so its output is 0 and not NaN.
void attention_without_keys(Backend& backend) {
  AttentionOptions options;
  options.key_mask = upload(backend, array({2, 3}, {0, 0, 0, 1, 1, 1}));
  const Array q = random({2, 2, 4}, 46), k = random({2, 3, 4}, 47), v = random({2, 3, 4}, 48);
  const Array want = reference::attention(q, k, v, 1, array({2, 3}, {0, 0, 0, 1, 1, 1}), false);
  expect_close(backend, backend.attention(upload(backend, q), upload(backend, k), upload(backend, v), options), want,
               attention_tolerance(backend));
}

/// Scores far beyond the range of exp, which the maximum has to be subtracted from.
void attention_large_scores(Backend& backend) {
  const Array q = random({1, 5, 8}, 49, 20, 30), k = random({1, 7, 8}, 50, 20, 30), v = random({1, 7, 8}, 51);
  const HostTensor got =
      backend.download(backend.attention(upload(backend, q), upload(backend, k), upload(backend, v), {}));
  for (const float value : got.values<float>()) EXPECT_TRUE(value >= -1.0f && value <= 1.0f) << value;
}

/// What was laid out for one pair of keys and values serves no other, and later calls like the first.
void attention_with_lasting_keys(Backend& backend) {
  const Array k = random({2, 33, 36}, 54), mask = array({2, 33}, std::vector<double>(66, 1.0));
  const Array values[] = {random({2, 33, 36}, 55), random({2, 33, 72}, 56)};
  const Value keys = upload(backend, k);
  const Value uploaded[] = {upload(backend, values[0]), upload(backend, values[1])};
  struct Call {
    std::int64_t heads, rows, queries;
    int v;
  };
  for (const Call& call : std::vector<Call>{{4, 2, 7, 0}, {4, 4, 5, 0}, {4, 2, 1, 0}, {4, 2, 7, 1}, {2, 2, 7, 0}}) {
    const Array q = random({call.rows, call.queries, 36}, 57 + static_cast<int>(call.rows));
    AttentionOptions options;
    options.heads = call.heads;
    options.lasting_keys = true;
    expect_close(backend, backend.attention(upload(backend, q), keys, uploaded[call.v], options),
                 reference::attention(q, k, values[call.v], call.heads, mask, false), attention_tolerance(backend));
  }
}

/// Q, K and V as they come from one product, K and V also in other operations before and after.
void attention_of_slices(Backend& backend) {
  const std::int64_t width = 12;
  const Array qkv = random({2, 7, 3 * width}, 60);
  Array parts[] = {zeros({2, 7, width}), zeros({2, 7, width}), zeros({2, 7, width})};
  for (std::int64_t row = 0; row < 2 * 7; ++row)
    for (std::int64_t part = 0; part < 3; ++part)
      for (std::int64_t c = 0; c < width; ++c) parts[part][row * width + c] = qkv[row * 3 * width + part * width + c];
  const Value both = upload(backend, qkv);
  const auto slice = [&](std::int64_t part) { return backend.slice(both, -1, part * width, (part + 1) * width); };
  const Value q = slice(0), k = slice(1), v = slice(2);
  AttentionOptions options;
  options.heads = 3;
  expect_close(backend, backend.reshape(v, {14, width}), {{14, width}, parts[2].values}, 0.0);
  expect_close(
      backend, backend.attention(q, k, v, options),
      reference::attention(parts[0], parts[1], parts[2], 3, array({2, 7}, std::vector<double>(14, 1.0)), false),
      attention_tolerance(backend));
  expect_close(backend, k, parts[1], 0.0);
  const Value second_row = backend.slice(backend.slice(k, 0, 1, 2), 1, 2, 5);
  Array want = zeros({1, 3, width});
  std::copy_n(parts[1].values.begin() + 9 * width, 3 * width, want.values.begin());
  expect_close(backend, second_row, want, 0.0);
}

void attention_rejects(Backend& backend) {
  const auto values = [&](std::int64_t b, std::int64_t l, std::int64_t d) {
    return upload(backend, random({b, l, d}, 52));
  };
  const auto rejects = [&](const Value& q, const Value& k, const Value& v, const AttentionOptions& options) {
    expect_error(ErrorCode::internal, "[attention]", [&] { backend.attention(q, k, v, options); });
  };
  AttentionOptions options;
  rejects(values(1, 2, 6), values(1, 3, 5), values(1, 3, 6), options);
  rejects(values(1, 2, 6), values(1, 3, 6), values(1, 4, 6), options);
  rejects(values(3, 2, 6), values(2, 3, 6), values(2, 3, 6), options);
  options.heads = 4;
  rejects(values(1, 2, 6), values(1, 3, 6), values(1, 3, 6), options);
  options.heads = 1;
  options.causal = true;
  rejects(values(1, 2, 6), values(1, 3, 6), values(1, 3, 6), options);
  options.causal = false;
  options.key_mask = upload(backend, random({1, 2}, 53));
  rejects(values(1, 2, 6), values(1, 3, 6), values(1, 3, 6), options);
}

}  // namespace

void append_attention_cases(std::vector<OperationCase>& cases) {
  for (const AttentionCase& c : std::vector<AttentionCase>{
           {"OneKey", 1, 1, 1, 1, 1, 1, 1},
           {"Self", 2, 2, 24, 24, 3, 16, 16},
           {"HeadsOfNine", 2, 2, 11, 13, 4, 9, 9},
           {"OtherValueWidth", 2, 2, 7, 5, 2, 6, 17},
           {"ManyKeys", 1, 1, 197, 197, 2, 12, 12},
           {"Masked", 3, 3, 10, 33, 2, 8, 8, true},
           {"Causal", 2, 2, 19, 19, 2, 9, 9, false, true},
           {"MaskedCausal", 2, 2, 40, 40, 2, 5, 5, true, true},
           {"SharedKeys", 6, 2, 5, 18, 2, 7, 7, true},
           {"OneQuery", 6, 2, 1, 33, 2, 9, 17},
           {"OneQueryMasked", 2, 2, 1, 50, 3, 16, 16, true},
           {"TwoQueriesCausal", 3, 3, 2, 2, 2, 9, 9, false, true},
       })
    cases.push_back({"Attention" + c.name, [c](Backend& backend) { attention(backend, c); }});
  cases.push_back({"AttentionIgnoresMaskedKeys", attention_ignores_masked});
  cases.push_back({"AttentionWithoutKeysIsZero", attention_without_keys});
  cases.push_back({"AttentionSubtractsTheMaximum", attention_large_scores});
  cases.push_back({"AttentionWithLastingKeys", attention_with_lasting_keys});
  cases.push_back({"AttentionOfSlices", attention_of_slices});
  cases.push_back({"AttentionRejectsMismatches", attention_rejects});
}

}  // namespace capdiff::test
