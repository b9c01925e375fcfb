#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "capdiff/captioners/autoregressive_config.h"
#include "capdiff/captioners/generation_options.h"
#include "capdiff/captioners/ladic_config.h"
#include "capdiff/captioners/prefix_config.h"
#include "capdiff/image/preprocess.h"
#include "capdiff/models/clip.h"
#include "tests/fuzz/fuzz_target.h"

namespace {

capdiff::JsonReader reader(const nlohmann::json& json) {
  return {json, "fuzz", capdiff::ErrorCode::invalid_model};
}

/// Reads a document that capdiff wrote, which it must not refuse.
template <class Read>
auto read_own(const nlohmann::json& json, Read&& read) {
  try {
    return read(reader(json));
  } catch (const capdiff::Error& error) {
    capdiff::fail(capdiff::ErrorCode::internal, "own JSON is refused: {}", error.what());
  }
}

void read_generation(const nlohmann::json& json) {
  for (const bool from_left : {false, true}) {
    capdiff::GenerationOptions defaults;
    if (from_left) defaults.left_to_right.emplace();
    const auto again = [&](const capdiff::JsonReader& own) { return capdiff::generation_options(own, defaults); };
    const nlohmann::json written = to_json(capdiff::generation_options(reader(json), defaults));
    if (to_json(read_own(written, again)) != written)
      capdiff::fail(capdiff::ErrorCode::internal, "options change where they are written and read");
  }
}

void read_config(const std::string& type, nlohmann::json json) {
  std::optional<capdiff::JsonReader> scheduler;
  if (json.contains("scheduler")) scheduler.emplace(reader(json.at("scheduler")));
  const capdiff::JsonReader* schedule = scheduler ? &*scheduler : nullptr;
  json.erase("scheduler");
  if (type == "clip") {
    read_own(capdiff::ClipConfig::from_json(reader(json)).to_json(), capdiff::ClipConfig::from_json);
  } else if (type == "autoregressive") {
    read_own(capdiff::AutoregressiveConfig::from_json(reader(json)).to_json(),
             capdiff::AutoregressiveConfig::from_json);
  } else if (type == "prefix-diffusion") {
    read_own(capdiff::PrefixConfig::from_json(reader(json), schedule).to_json(),
             [&](const capdiff::JsonReader& own) { return capdiff::PrefixConfig::from_json(own, schedule); });
  } else {
    read_own(capdiff::LadicConfig::from_json(reader(json), schedule).to_json(),
             [&](const capdiff::JsonReader& own) { return capdiff::LadicConfig::from_json(own, schedule); });
  }
}

}  // namespace

/// What a model folder's JSON files may say: config.json, with what scheduler_config.json says as its member
/// "scheduler", preprocessor_config.json or generation_config.json.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return capdiff::fuzz::refuses_or_reads(data, size, [](std::span<const std::byte> bytes) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const nlohmann::json json = capdiff::parse_json(text, "fuzz", capdiff::ErrorCode::invalid_model);
    if (json.contains("image_mean")) {
      capdiff::preprocessor_from_json(json, "fuzz");
    } else if (json.contains("model_type") && json.at("model_type").is_string()) {
      read_config(json.at("model_type"), json);
    } else {
      read_generation(json);
    }
  });
}
