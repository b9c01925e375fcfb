#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "capdiff/captioners/ladic.h"

namespace capdiff::test {

/// A folder of LaDiC goldens: the reference's tensors, sizes, ids and both profiles. Everything is read from the
/// folder, so folders with other sizes and seeds work alike.
class LadicGolden {
 public:
  explicit LadicGolden(const std::filesystem::path& folder);

  const std::filesystem::path& folder() const { return folder_; }
  const SafetensorsFile& tensors() const { return tensors_; }
  const nlohmann::json& reference() const { return reference_; }
  const nlohmann::json& json() const { return golden_; }
  /// f32 copy, as stored.
  HostTensor tensor(const std::string& name) const { return tensors_.tensor(name); }
  /// The absolute tolerance that the folder recommends for a tensor.
  double tolerance(const std::string& name) const;

  LadicConfig paper_config() const;
  SpecialIds ids() const;
  Preprocessor preprocessor() const;
  ParameterStore parameters() const;
  LadicModel paper_model(Backend& backend) const { return {backend, parameters(), paper_config(), ids(), true}; }
  /// `text.input_ids` with its mask, or those under another prefix.
  TokenBatch captions(const std::string& prefix = "text") const;

 private:
  std::filesystem::path folder_;
  SafetensorsFile tensors_;
  nlohmann::json reference_, golden_;
};

/// Expects |actual − expected| ≤ the folder's tolerance everywhere, and equal element counts. `actual` may have extra
/// axes of size 1.
void expect_close(const LadicGolden& golden, const std::string& name, const HostTensor& actual);

/// Every group of the paper profile's forward path, on one backend: pictures, text, schedule, one denoiser call,
/// round trip, DDIM with 5 and 30 steps, losses.
void check_ladic_paper_forward(const std::filesystem::path& folder, Backend& backend);

}  // namespace capdiff::test
