#include <array>

#include "tests/backends/op_reference.h"

namespace capdiff::test {
namespace {

/// Pairs of shapes that broadcast: equal, a stretched end, a stretched beginning, both ways at once, scalars, empty.
const std::vector<std::pair<Shape, Shape>> kPairs = {{{3, 5}, {3, 5}},
                                                     {{2, 3, 7}, {7}},
                                                     {{2, 3, 7}, {2, 3, 1}},
                                                     {{2, 3, 7}, {2, 1, 1}},
                                                     {{4, 1, 3}, {5, 1}},
                                                     {{1, 6}, {5, 1}},
                                                     {{2, 3, 4, 5}, {3, 1, 5}},
                                                     {{}, {2, 2}},
                                                     {{}, {}},
                                                     {{0, 3}, {3}},
                                                     {{1, 1}, {2, 1, 3}},
                                                     {{7000}, {1}}};

using Binary = std::function<Value(Backend&, const Value&, const Value&)>;

void binary(Backend& backend, const Binary& operation, const std::function<double(double, double)>& reference) {
  for (const auto& [left, right] : kPairs)
    for (const bool swapped : {false, true}) {
      const Array a = random(swapped ? right : left, 80), b = random(swapped ? left : right, 81);
      SCOPED_TRACE(to_string(a.shape) + " and " + to_string(b.shape));
      expect_close(backend, operation(backend, upload(backend, a), upload(backend, b)),
                   reference::broadcast({a, b}, [&](const auto& x) { return reference(x[0], x[1]); }), 1e-6);
    }
}

void binary_rejects(Backend& backend) {
  const Value a = upload(backend, random({2, 3}, 82)), b = upload(backend, random({2, 4}, 83));
  expect_error(ErrorCode::internal, "[add]", [&] { backend.add(a, b); });
  expect_error(ErrorCode::internal, "[mul]", [&] { backend.mul(a, b); });
  expect_error(ErrorCode::internal, "[scale_add]", [&] { backend.scale_add(1, a, 1, b); });
  expect_error(ErrorCode::internal, "[select]", [&] { backend.select(a, a, b); });
}

void select(Backend& backend) {
  const std::vector<std::array<Shape, 3>> shapes = {{Shape{2, 5}, {2, 5}, {2, 5}},
                                                    {Shape{2, 5, 1}, {2, 5, 3}, {3}},
                                                    {Shape{4}, {}, {3, 4}},
                                                    {Shape{3, 1}, {1, 4}, {}}};
  for (const auto& [m, a, b] : shapes) {
    SCOPED_TRACE(to_string(m) + " ? " + to_string(a) + " : " + to_string(b));
    Array mask = random(m, 84);
    for (double& value : mask.values) value = value > 0.3 ? 1.0 : value < -0.3 ? -0.5 : 0.0;
    const Array x = random(a, 85), y = random(b, 86);
    expect_close(backend, backend.select(upload(backend, mask), upload(backend, x), upload(backend, y)),
                 reference::broadcast({mask, x, y}, [](const auto& v) { return v[0] != 0.0 ? v[1] : v[2]; }), 0.0);
  }
}

void select_ids(Backend& backend) {
  const Value mask = upload(backend, array({3}, {1, 0, 1}));
  const Value a = upload_ids(backend, {3}, {7, 8, 9}), b = upload_ids(backend, {1}, {std::int64_t{1} << 40});
  expect_ids(backend, backend.select(mask, a, b), {3}, {7, std::int64_t{1} << 40, 9});
}

void activation(Backend& backend, Activation activation) {
  for (const double range : {0.1, 3.0, 40.0}) {
    const Array x = random({11, 91}, 87, -range, range);
    expect_close(backend, backend.activation(upload(backend, x), activation),
                 reference::map(x, [&](double value) { return reference::activation(value, activation); }), 1e-6);
  }
}

}  // namespace

void append_elementwise_cases(std::vector<OperationCase>& cases) {
  cases.push_back({"AddBroadcasts", [](Backend& backend) {
                     binary(
                         backend, [](Backend& b, const Value& x, const Value& y) { return b.add(x, y); },
                         [](double x, double y) { return x + y; });
                   }});
  cases.push_back({"MulBroadcasts", [](Backend& backend) {
                     binary(
                         backend, [](Backend& b, const Value& x, const Value& y) { return b.mul(x, y); },
                         [](double x, double y) { return x * y; });
                   }});
  cases.push_back({"ScaleAddBroadcasts", [](Backend& backend) {
                     binary(
                         backend,
                         [](Backend& b, const Value& x, const Value& y) { return b.scale_add(0.75f, x, -1.5f, y); },
                         [](double x, double y) { return 0.75 * x - 1.5 * y; });
                   }});
  cases.push_back({"ElementwiseRejectsMismatches", binary_rejects});
  cases.push_back({"SelectBroadcasts", select});
  cases.push_back({"SelectOfIds", select_ids});
  using A = Activation;
  for (const auto& [name, value] : std::vector<std::pair<std::string, A>>{{"None", A::none},
                                                                          {"Gelu", A::gelu},
                                                                          {"QuickGelu", A::quick_gelu},
                                                                          {"Relu", A::relu},
                                                                          {"Relu6", A::relu6},
                                                                          {"Tanh", A::tanh},
                                                                          {"Silu", A::silu}})
    cases.push_back({"Activation" + name, [kind = value](Backend& backend) { activation(backend, kind); }});
}

}  // namespace capdiff::test
