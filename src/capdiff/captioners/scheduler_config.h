#pragma once

#include <nlohmann/json_fwd.hpp>

#include "capdiff/diffusion/noise_schedule.h"
#include "capdiff/formats/json_reader.h"

namespace capdiff {

/// Reads what `scheduler_config.json` says of the noise schedule; what is absent is as in `config`.
NoiseScheduleConfig read_noise_schedule(const JsonReader& json, NoiseScheduleConfig config);
nlohmann::json to_json(const NoiseScheduleConfig& config);

}  // namespace capdiff
