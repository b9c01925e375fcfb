#include "tests/backends/op_reference.h"

namespace capdiff::test {
namespace {

void reshape(Backend& backend) {
  const Array x = random({2, 3, 4}, 90);
  const Value value = upload(backend, x);
  expect_close(backend, backend.reshape(value, {6, 4}), {{6, 4}, x.values}, 0.0);
  expect_close(backend, backend.reshape(value, {24, 1}), {{24, 1}, x.values}, 0.0);
  expect_ids(backend, backend.reshape(upload_ids(backend, {4}, {1, 2, 3, 4}), {2, 2}), {2, 2}, {1, 2, 3, 4});
  expect_error(ErrorCode::internal, "[reshape]", [&] { backend.reshape(value, {5, 5}); });
}

void permute(Backend& backend) {
  const auto check = [&](Shape shape, const std::vector<int>& axes) {
    const Array x = random(std::move(shape), 91);
    expect_close(backend, backend.permute(upload(backend, x), axes), reference::permute(x, axes), 0.0);
  };
  check({3, 5}, {1, 0});
  check({2, 3, 4}, {0, 1, 2});
  check({2, 3, 4}, {1, 0, 2});
  check({2, 3, 4}, {2, 0, 1});
  check({2, 3, 4, 5}, {0, 3, 1, 2});
  check({2, 3, 4, 5}, {0, 2, 3, 1});
  const std::vector<int> swap{1, 0};
  expect_ids(backend, backend.permute(upload_ids(backend, {2, 3}, {1, 2, 3, 4, 5, 6}), swap), {3, 2},
             {1, 4, 2, 5, 3, 6});
  const Value matrix = upload(backend, random({2, 3}, 92));
  for (const std::vector<int>& axes : {std::vector<int>{0}, {0, 0}, {0, 2}})
    expect_error(ErrorCode::internal, "[permute]", [&] { backend.permute(matrix, axes); });
}

/// A permuted value is a full value: what follows must see its elements in the new order.
void permute_then_use(Backend& backend) {
  const Array x = random({3, 4}, 93);
  const std::vector<int> swap{1, 0};
  const Value turned = backend.permute(upload(backend, x), swap);
  const Array want = reference::permute(x, {1, 0});
  expect_close(backend, backend.reshape(turned, {2, 6}), {{2, 6}, want.values}, 0.0);
  expect_close(backend, backend.slice(turned, 0, 1, 3), {{2, 3}, {want.values.begin() + 3, want.values.begin() + 9}},
               0.0);
  expect_close(backend, backend.softmax(turned), reference::softmax(want));
}

Array joined(const std::vector<Array>& parts, int axis) {
  std::vector<std::int64_t> sizes = parts[0].shape.sizes();
  std::int64_t total = 0, outer = 1;
  for (const Array& part : parts) total += part.shape[axis];
  for (int i = 0; i < axis; ++i) outer *= sizes[static_cast<std::size_t>(i)];
  sizes[static_cast<std::size_t>(axis)] = total;
  Array result{Shape(sizes), {}};
  for (std::int64_t row = 0; row < outer; ++row)
    for (const Array& part : parts) {
      const auto length = part.values.size() / static_cast<std::size_t>(outer);
      const auto first = part.values.begin() + static_cast<std::ptrdiff_t>(length) * row;
      result.values.insert(result.values.end(), first, first + static_cast<std::ptrdiff_t>(length));
    }
  return result;
}

void concat(Backend& backend) {
  for (int axis = 0; axis < 3; ++axis) {
    std::vector<Array> parts;
    for (const std::int64_t size : {2, 1, 3}) {
      std::vector<std::int64_t> sizes{2, 3, 4};
      sizes[static_cast<std::size_t>(axis)] = size;
      parts.push_back(random(Shape(sizes), static_cast<std::uint32_t>(94 + size)));
    }
    std::vector<Value> values;
    for (const Array& part : parts) values.push_back(upload(backend, part));
    expect_close(backend, backend.concat(values, axis), joined(parts, axis), 0.0);
    expect_close(backend, backend.concat(values, axis - 3), joined(parts, axis), 0.0);
  }
  const std::vector<Value> ids{upload_ids(backend, {2, 1}, {1, 2}), upload_ids(backend, {2, 2}, {3, 4, 5, 6})};
  expect_ids(backend, backend.concat(ids, 1), {2, 3}, {1, 3, 4, 2, 5, 6});
  const std::vector<Value> uneven{upload(backend, random({2, 3}, 98)), upload(backend, random({3, 3}, 99))};
  expect_error(ErrorCode::internal, "[concat]", [&] { backend.concat(uneven, 1); });
  expect_error(ErrorCode::internal, "[concat]", [&] { backend.concat(uneven, 2); });
  expect_error(ErrorCode::internal, "[concat]", [&] { backend.concat({}, 0); });
}

void slice(Backend& backend) {
  const Array x = random({4, 3, 5}, 100);
  const Value value = upload(backend, x);
  for (int axis = 0; axis < 3; ++axis)
    for (const auto& [begin, end] : {std::pair{0, 3}, {1, 2}, {2, 2}, {1, 3}}) {
      std::vector<std::int64_t> sizes = x.shape.sizes();
      sizes[static_cast<std::size_t>(axis)] = end - begin;
      Array want{Shape(sizes), {}};
      for (std::int64_t i = 0; i < 4; ++i)
        for (std::int64_t j = 0; j < 3; ++j)
          for (std::int64_t k = 0; k < 5; ++k) {
            const std::int64_t at = axis == 0 ? i : axis == 1 ? j : k;
            if (at >= begin && at < end) want.values.push_back(x[(i * 3 + j) * 5 + k]);
          }
      expect_close(backend, backend.slice(value, axis, begin, end), want, 0.0);
      expect_close(backend, backend.slice(value, axis - 3, begin, end), want, 0.0);
    }
  expect_ids(backend, backend.slice(upload_ids(backend, {2, 2}, {1, 2, 3, 4}), 1, 1, 2), {2, 1}, {2, 4});
  expect_error(ErrorCode::internal, "[slice]", [&] { backend.slice(value, 0, 2, 5); });
  expect_error(ErrorCode::internal, "[slice]", [&] { backend.slice(value, 0, -1, 2); });
  expect_error(ErrorCode::internal, "[slice]", [&] { backend.slice(value, 1, 2, 1); });
  expect_error(ErrorCode::internal, "[slice]", [&] { backend.slice(value, 3, 0, 1); });
}

void gather(Backend& backend) {
  const Array x = random({4, 2, 3}, 101);
  const std::vector<std::int64_t> indices{3, 0, 0, 2, 3};
  Array want{{5, 2, 3}, {}};
  for (const std::int64_t index : indices)
    for (std::int64_t i = 0; i < 6; ++i) want.values.push_back(x[index * 6 + i]);
  const Value value = upload(backend, x);
  expect_close(backend, backend.gather(value, upload_ids(backend, {5}, indices)), want, 0.0);
  expect_ids(backend, backend.gather(upload_ids(backend, {3}, {7, 8, 9}), upload_ids(backend, {2}, {2, 0})), {2},
             {9, 7});
  expect_error(ErrorCode::internal, "[gather]", [&] { backend.gather(value, upload_ids(backend, {1}, {4})); });
  expect_error(ErrorCode::internal, "[gather]", [&] { backend.gather(value, upload_ids(backend, {1}, {-1})); });
  expect_error(ErrorCode::internal, "[gather]", [&] { backend.gather(value, upload_ids(backend, {1, 1}, {0})); });
}

}  // namespace

void append_shape_cases(std::vector<OperationCase>& cases) {
  cases.push_back({"Reshape", reshape});
  cases.push_back({"Permute", permute});
  cases.push_back({"PermuteThenUse", permute_then_use});
  cases.push_back({"Concat", concat});
  cases.push_back({"Slice", slice});
  cases.push_back({"Gather", gather});
}

}  // namespace capdiff::test
