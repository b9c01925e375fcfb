#include <algorithm>
#include <cmath>

#include "tests/backends/op_reference.h"

namespace capdiff::test {
namespace {

void softmax(Backend& backend) {
  for (const std::int64_t cols : {1, 5, 16, 1003}) {
    const Array x = random({2, 3, cols}, 110, -9, 9);
    expect_close(backend, backend.softmax(upload(backend, x)), reference::softmax(x));
  }
  // Far outside the range of exp, and far apart.
  const Array far = array({2, 3}, {1000, 1001, 999, -5000, 5000, 0});
  expect_close(backend, backend.softmax(upload(backend, far)), reference::softmax(far));
}

void max_and_argmax(Backend& backend) {
  for (const std::int64_t cols : {1, 7, 1003}) {
    const Array x = random({3, 2, cols}, 111, -9, -1);
    Array largest = zeros({3, 2});
    std::vector<std::int64_t> where;
    for (std::int64_t r = 0; r < 6; ++r) {
      const auto first = x.values.begin() + r * cols;
      where.push_back(std::max_element(first, first + cols) - first);
      largest[r] = x[r * cols + where.back()];
    }
    expect_close(backend, backend.max(upload(backend, x)), largest, 0.0);
    expect_ids(backend, backend.argmax(upload(backend, x)), {3, 2}, where);
  }
}

void argmax_ties(Backend& backend) {
  Array x = zeros({3, 70});
  for (const std::int64_t i : {5, 17, 40, 69}) x[i] = 2;
  for (const std::int64_t i : {68, 69}) x[70 + i] = 1;
  expect_ids(backend, backend.argmax(upload(backend, x)), {3}, {5, 68, 0});
}

void top_k(Backend& backend) {
  const std::int64_t cols = 41;
  Array x = random({4, cols}, 112);
  for (double& value : x.values) value = std::round(value * 5.0);  // eleven different values: many ties
  for (const std::int64_t k : {std::int64_t{1}, std::int64_t{6}, cols}) {
    Array values = zeros({4, k});
    std::vector<std::int64_t> indices;
    for (std::int64_t r = 0; r < 4; ++r) {
      std::vector<std::int64_t> order;
      for (std::int64_t i = 0; i < cols; ++i) order.push_back(i);
      std::stable_sort(order.begin(), order.end(),
                       [&](std::int64_t i, std::int64_t j) { return x[r * cols + i] > x[r * cols + j]; });
      for (std::int64_t i = 0; i < k; ++i) {
        indices.push_back(order[static_cast<std::size_t>(i)]);
        values[r * k + i] = x[r * cols + indices.back()];
      }
    }
    const auto [got_values, got_indices] = backend.top_k(upload(backend, x), k);
    expect_close(backend, got_values, values, 0.0);
    expect_ids(backend, got_indices, {4, k}, indices);
  }
  expect_error(ErrorCode::internal, "[top_k]", [&] { backend.top_k(upload(backend, x), cols + 1); });
  expect_error(ErrorCode::internal, "[top_k]", [&] { backend.top_k(upload(backend, x), 0); });
}

void l2_normalize(Backend& backend) {
  const std::int64_t cols = 19;
  Array x = random({3, 2, cols}, 113, -50, 50);
  for (std::int64_t i = 0; i < cols; ++i) x[cols + i] = 0.0;  // stays zero
  Array want = x;
  for (std::int64_t r = 0; r < 6; ++r) {
    double squares = 0.0;
    for (std::int64_t i = 0; i < cols; ++i) squares += x[r * cols + i] * x[r * cols + i];
    for (std::int64_t i = 0; i < cols; ++i)
      want[r * cols + i] = squares > 0.0 ? x[r * cols + i] / std::sqrt(squares) : 0.0;
  }
  expect_close(backend, backend.l2_normalize(upload(backend, x)), want);
}

void mean(Backend& backend) {
  const Array x = random({3, 4, 5}, 114);
  const std::vector<std::vector<int>> kept = {{1, 2}, {0, 2}, {0, 1}};
  for (int axis = 0; axis < 3; ++axis) {
    const int first = kept[static_cast<std::size_t>(axis)][0], second = kept[static_cast<std::size_t>(axis)][1];
    Array want = zeros({x.shape[first], x.shape[second]});
    for (std::int64_t flat = 0; flat < 60; ++flat) {
      const std::int64_t at[3] = {flat / 20, flat / 5 % 4, flat % 5};
      want[at[first] * x.shape[second] + at[second]] += x[flat] / static_cast<double>(x.shape[axis]);
    }
    expect_close(backend, backend.mean(upload(backend, x), axis), want);
    expect_close(backend, backend.mean(upload(backend, x), axis - 3), want);
  }
  expect_error(ErrorCode::internal, "[mean]", [&] { backend.mean(upload(backend, x), 3); });
}

void distances(Backend& backend) {
  const Array a = random({3, 4, 7}, 115), b = random({3, 4, 7}, 116);
  double squares = 0.0, norms = 0.0;
  for (std::int64_t r = 0; r < 12; ++r) {
    double row = 0.0;
    for (std::int64_t i = r * 7; i < (r + 1) * 7; ++i) row += (a[i] - b[i]) * (a[i] - b[i]);
    squares += row;
    norms += std::sqrt(row);
  }
  const Value x = upload(backend, a), y = upload(backend, b), z = upload(backend, random({3, 4, 6}, 117));
  expect_close(backend, backend.mean_squared_error(x, y), {{}, {squares / 84.0}});
  expect_close(backend, backend.mean_l2_distance(x, y), {{}, {norms / 12.0}});
  expect_close(backend, backend.mean_l2_distance(x, x), {{}, {0.0}});
  expect_error(ErrorCode::internal, "[mean_squared_error]", [&] { backend.mean_squared_error(x, z); });
  expect_error(ErrorCode::internal, "[mean_l2_distance]", [&] { backend.mean_l2_distance(x, z); });
}

void cross_entropy(Backend& backend) {
  const std::int64_t cols = 13;
  const Array logits = random({2, 3, cols}, 118, -60, 60);
  const std::vector<std::int64_t> targets{0, 12, -1, 5, -1, 5};
  const Array probabilities = reference::softmax(logits);
  double sum = 0.0;
  for (std::int64_t r = 0; r < 6; ++r)
    if (const std::int64_t target = targets[static_cast<std::size_t>(r)]; target >= 0)
      sum -= std::log(probabilities[r * cols + target]);
  const Value x = upload(backend, logits);
  expect_close(backend, backend.cross_entropy(x, upload_ids(backend, {2, 3}, targets)), {{}, {sum / 4.0}});
  double spread = 0.0;  // over all classes alike
  for (std::int64_t r = 0; r < 6; ++r)
    if (targets[static_cast<std::size_t>(r)] >= 0)
      for (std::int64_t c = 0; c < cols; ++c) spread -= std::log(probabilities[r * cols + c]) / cols;
  expect_close(backend, backend.cross_entropy(x, upload_ids(backend, {2, 3}, targets), 0.1f),
               {{}, {(0.9 * sum + 0.1 * spread) / 4.0}});
  expect_error(ErrorCode::internal, "[cross_entropy]",
               [&] { backend.cross_entropy(x, upload_ids(backend, {6}, targets)); });
}

}  // namespace

void append_reduction_cases(std::vector<OperationCase>& cases) {
  cases.push_back({"Softmax", softmax});
  cases.push_back({"MaxAndArgmax", max_and_argmax});
  cases.push_back({"ArgmaxTakesTheLowestOfTies", argmax_ties});
  cases.push_back({"TopK", top_k});
  cases.push_back({"L2Normalize", l2_normalize});
  cases.push_back({"Mean", mean});
  cases.push_back({"Distances", distances});
  cases.push_back({"CrossEntropySkipsMinusOne", cross_entropy});
}

}  // namespace capdiff::test
