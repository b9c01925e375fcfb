#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/base/hash.h"
#include "capdiff/evaluation/verify_kinds.h"
#include "capdiff/formats/json_reader.h"
#include "capdiff/formats/torch_archive.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::size_t kMaxArchiveBytes = std::size_t{1} << 30;

/// A number as the manifest writes it: JSON has none for what is not finite.
Json written(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

/// The first `count` elements, in row-major order.
Json first_values(const HostTensor& tensor, std::size_t count) {
  Json values = Json::array();
  const auto add = [&](const auto& elements) {
    for (const auto value : elements.first(std::min(count, elements.size())))
      values.push_back(written(static_cast<double>(value)));
  };
  switch (tensor.dtype()) {
    case DType::f64: add(tensor.values<double>()); break;
    case DType::i64: add(tensor.values<std::int64_t>()); break;
    case DType::i32: add(tensor.values<std::int32_t>()); break;
    case DType::i16: add(tensor.values<std::int16_t>()); break;
    case DType::i8: add(tensor.values<std::int8_t>()); break;
    case DType::u8:
    case DType::boolean: add(tensor.values<std::uint8_t>()); break;
    default: {
      const HostTensor floats = tensor.to(DType::f32);
      add(floats.values<float>());
    }
  }
  return values;
}

std::string dotted(const Json& path) {
  std::string name;
  for (std::size_t i = 0; i < path.size(); ++i) name += (i == 0 ? "" : ".") + path.at(i).get<std::string>();
  return name;
}

/// What the manifest states of a tensor that was read.
void compare_tensor(GoldenReport& report, const std::string& place, const Json& stated, const TorchArchive& archive) {
  const std::string name = dotted(stated.at("path"));
  const HostTensor tensor = archive.tensor(name);
  const TorchTensor& entry = archive.entries().find(name)->second;
  const Json computed{{"dtype", name_of(tensor.dtype())},
                      {"shape", tensor.shape().sizes()},
                      {"stride", entry.strides},
                      {"storage_offset", entry.offset},
                      {"numel", tensor.shape().numel()},
                      {"sha256_contiguous_le", sha256_hex(tensor.bytes())},
                      {"first", first_values(tensor, stated.value("first", Json::array()).size())}};
  for (const auto& [key, value] : computed.items())
    if (stated.contains(key)) report.compare_json(place + "." + key, stated.at(key), value);
}

/// A file that has to load, has to be refused, or may do either; never with other tensors than stated.
void verify_file(GoldenReport& report, const std::string& place, const Json& stated, const fs::path& file) {
  if (stated.contains("sha256"))
    report.compare_json(place + ".sha256", stated.at("sha256"), sha256_hex(read_file(file, kMaxArchiveBytes)));
  const std::string expect = stated.at("expect");
  const bool may_load = expect == "ok" || expect == "ok_or_error" || expect == "error_or_ok";
  const bool may_fail = expect != "ok";
  std::string outcome = "ok";
  try {
    const TorchArchive archive = TorchArchive::open(file);
    for (const auto& [name, entry] : archive.entries()) archive.tensor(name);
    if (may_load) {
      const Json tensors = stated.value("tensors", Json::array());
      for (std::size_t i = 0; i < tensors.size(); ++i)
        compare_tensor(report, place + ".tensors." + std::to_string(i), tensors.at(i), archive);
      if (expect == "ok") report.compare_json(place + ".tensor_count", tensors.size(), archive.entries().size());
    }
  } catch (const Error& error) {
    outcome = std::string("error: ") + error.what();
  }
  const bool as_stated = outcome == "ok" ? may_load : may_fail;
  report.compare_json(place + ".expect", expect, as_stated ? expect : outcome);
}

}  // namespace

GoldenReport verify_torch_archives(const fs::path& folder) {
  GoldenReport report;
  const Json files = read_json(folder / kTorchManifest).at("files");
  for (std::size_t i = 0; i < files.size(); ++i) {
    const std::string place = "files." + std::to_string(i);
    report.part("json." + place, [&] {
      verify_file(report, place, files.at(i), folder / fs::path(files.at(i).at("file").get<std::string>()).filename());
    });
  }
  return report;
}

}  // namespace capdiff
