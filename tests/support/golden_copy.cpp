#include "tests/support/golden_copy.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "capdiff/formats/json_reader.h"
#include "capdiff/formats/safetensors.h"

namespace capdiff::test {

std::filesystem::path golden_folder(const std::string& name) {
  return std::filesystem::path(CAPDIFF_SOURCE_DIR) / "tests/data" / name;
}

GoldenCopy::GoldenCopy(const std::string& name) {
  for (const auto& entry : std::filesystem::directory_iterator(golden_folder(name)))
    std::filesystem::copy_file(entry.path(), path() / entry.path().filename());
}

void GoldenCopy::edit_tensors(const std::string& file,
                              const std::function<void(std::map<std::string, HostTensor>&)>& edit) const {
  const SafetensorsFile original = SafetensorsFile::open(path() / file);
  std::map<std::string, HostTensor> tensors;
  for (const std::string& name : original.names()) tensors.emplace(name, original.tensor(name));
  edit(tensors);
  write_safetensors(path() / file, tensors);
}

void GoldenCopy::edit_json(const std::string& file, const std::function<void(nlohmann::json&)>& edit) const {
  nlohmann::json json = read_json(path() / file);
  edit(json);
  std::ofstream(path() / file) << json;
}

HostTensor nudged(const HostTensor& tensor, float by) {
  HostTensor copy(tensor.dtype(), tensor.shape());
  std::ranges::copy(tensor.values<float>(), copy.mutable_values<float>().begin());
  copy.mutable_values<float>()[0] += by;
  return copy;
}

}  // namespace capdiff::test
