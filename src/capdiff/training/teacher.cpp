#include "capdiff/training/teacher.h"

#include <array>

#include "capdiff/base/error.h"
#include "capdiff/formats/json_reader.h"

namespace capdiff {
namespace {

constexpr std::size_t kMaxOperations = 4096;
constexpr std::int64_t kMaxPadding = 64;

Conv2dOptions padding_of(const JsonReader& json) {
  const std::vector<std::int64_t> pads = json.get_ints("pads_tlbr", 4, 0, kMaxPadding);
  if (pads.size() != 4) fail(ErrorCode::invalid_model, "{}: pads_tlbr needs four numbers", json.source());
  return {.pad_top = pads[0], .pad_left = pads[1], .pad_bottom = pads[2], .pad_right = pads[3]};
}

/// x with zeros around its rows and columns.
Value padded(Backend& backend, Value x, const Conv2dOptions& pad) {
  const auto zeros = [&](int axis, std::int64_t size) {
    std::vector<std::int64_t> sizes = x.shape().sizes();
    sizes[static_cast<std::size_t>(axis)] = size;
    return backend.upload(HostTensor(DType::f32, Shape(sizes)));
  };
  for (const auto& [axis, before, after] : {std::array{std::int64_t{1}, pad.pad_top, pad.pad_bottom},
                                            std::array{std::int64_t{2}, pad.pad_left, pad.pad_right}}) {
    const int a = static_cast<int>(axis);
    if (before > 0) x = backend.concat(std::array{zeros(a, before), x}, a);
    if (after > 0) x = backend.concat(std::array{x, zeros(a, after)}, a);
  }
  return x;
}

}  // namespace

Teacher::Teacher(Backend& backend, const std::filesystem::path& graph) : backend_(&backend) {
  const JsonReader json = JsonReader::open(graph, ErrorCode::invalid_model);
  const SafetensorsFile weights = SafetensorsFile::open(std::filesystem::path(graph).replace_extension(".safetensors"));
  std::map<std::string, std::size_t> places{{"input", 0}};
  for (const JsonReader& operation : json.get_objects("ops", kMaxOperations)) {
    const std::string op = operation.get_string("op");
    if (op == "GlobalAveragePool") {
      grid_ = places.at(operation.get_strings("in", 1).at(0));
      return;
    }
    append(backend, op, operation, weights, places);
  }
  fail(ErrorCode::invalid_model, "{}: there is no GlobalAveragePool, whose input would be the grid", graph.string());
}

void Teacher::append(Backend& backend, const std::string& op, const JsonReader& json, const SafetensorsFile& weights,
                     std::map<std::string, std::size_t>& places) {
  Operation operation;
  for (const std::string& input : json.get_strings("in", 2)) {
    const auto place = places.find(input);
    if (place == places.end())
      fail(ErrorCode::invalid_model, "{}: operation {} reads '{}', which nothing writes", json.source(),
           operations_.size(), input);
    operation.inputs.push_back(place->second);
  }
  if (operation.inputs.size() != (op == "Add" ? 2 : 1))
    fail(ErrorCode::invalid_model, "{}: {} cannot have {} inputs", json.source(), op, operation.inputs.size());
  if (op == "Conv") {
    const std::string name = json.get_string("weight");
    operation.kind = Operation::Kind::convolution;
    operation.options = padding_of(json);
    operation.options.stride = json.get_int("stride", 1, kMaxPadding);
    operation.options.groups = json.get_int("groups", 1, 1 << 16);
    const HostTensor weight = weights.tensor(name + ".weight").to(DType::f32);
    if (weight.shape().rank() != 4)
      fail(ErrorCode::invalid_model, "{}: tensor '{}.weight' of shape {} is no convolution", weights.name(), name,
           to_string(weight.shape()));
    operation.weights =
        backend.bind_conv2d({"teacher." + name + ".weight", weight},
                            Parameter{"teacher." + name + ".bias", weights.tensor(name + ".bias", {weight.shape()[0]})},
                            operation.options.groups);
  } else if (op == "Clip") {
    operation.kind = Operation::Kind::clip;
  } else if (op == "Pad") {
    operation.kind = Operation::Kind::pad;
    operation.options = padding_of(json);
  } else if (op == "Add") {
    operation.kind = Operation::Kind::add;
    sums_.push_back(operations_.size() + 1);
  } else if (op != "Transpose") {
    fail(ErrorCode::invalid_model, "{}: unknown operation '{}' before the pooling", json.source(), op);
  }
  operations_.push_back(std::move(operation));
  places[json.get_string("out")] = operations_.size();
}

Teacher::Features Teacher::operator()(const Value& pixels) const {
  Backend& b = *backend_;
  std::vector<Value> values{pixels};
  for (const Operation& operation : operations_) {
    const Value& x = values[operation.inputs[0]];
    switch (operation.kind) {
      case Operation::Kind::convolution: values.push_back(b.conv2d(x, operation.weights, operation.options)); break;
      case Operation::Kind::clip: values.push_back(b.activation(x, Activation::relu6)); break;
      case Operation::Kind::pad: values.push_back(padded(b, x, operation.options)); break;
      case Operation::Kind::add: values.push_back(b.add(x, values[operation.inputs[1]])); break;
      case Operation::Kind::copy: values.push_back(x); break;
    }
    if (values.size() > grid_ + 1) break;
  }
  const Value& grid = values[grid_];
  const Shape& shape = grid.shape();
  const Value rows = b.reshape(grid, {shape[0], shape[1] * shape[2], shape[3]});
  std::vector<Value> hints;
  for (const std::size_t sum : sums_) {
    if (sum >= grid_) continue;
    if (hints.empty() || hints.back().shape()[1] != values[sum].shape()[1]) hints.push_back(values[sum]);
    hints.back() = values[sum];
  }
  return {grid, b.mean(rows, 1), std::move(hints)};
}

}  // namespace capdiff
