#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "capdiff/tensor/host_tensor.h"
#include "tests/support/temporary_folder.h"

namespace capdiff::test {

/// A folder of goldens of this repository: "ladic_tiny".
std::filesystem::path golden_folder(const std::string& name);

/// A copy of such a folder that a test may spoil.
class GoldenCopy {
 public:
  explicit GoldenCopy(const std::string& name);

  const std::filesystem::path& path() const { return folder_.path(); }
  void edit_tensors(const std::string& file, const std::function<void(std::map<std::string, HostTensor>&)>& edit) const;
  void edit_json(const std::string& file, const std::function<void(nlohmann::json&)>& edit) const;

 private:
  TemporaryFolder folder_;
};

/// A copy of an f32 tensor with `by` added to its first element.
HostTensor nudged(const HostTensor& tensor, float by);

}  // namespace capdiff::test
