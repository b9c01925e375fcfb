#include <nlohmann/json.hpp>

#include "capdiff/captioners/ladic_config.h"
#include "capdiff/image/preprocess.h"
#include "tests/fuzz/fuzz_target.h"

/// What a model folder's JSON files may say.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return capdiff::fuzz::refuses_or_reads(data, size, [](std::span<const std::byte> bytes) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const nlohmann::json json = capdiff::parse_json(text, "fuzz", capdiff::ErrorCode::invalid_model);
    if (json.contains("image_mean")) capdiff::preprocessor_from_json(json, "fuzz");
    capdiff::LadicConfig::from_json(capdiff::JsonReader(json, "fuzz", capdiff::ErrorCode::invalid_model), nullptr);
  });
}
