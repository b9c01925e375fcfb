#include "capdiff/captioners/scheduler_config.h"

#include <nlohmann/json.hpp>

namespace capdiff {
namespace {

const char* name_of_table(ScheduleTable table) {
  return table == ScheduleTable::from_beta ? "from_beta" : "clean_start";
}

}  // namespace

NoiseScheduleConfig read_noise_schedule(const JsonReader& json, NoiseScheduleConfig config) {
  config.kind = schedule_kind(json.get_choice("schedule", schedule_names(), name_of(config.kind)));
  config.table = json.get_choice("table", {"clean_start", "from_beta"}, name_of_table(config.table)) == "from_beta"
                     ? ScheduleTable::from_beta
                     : ScheduleTable::clean_start;
  config.time_steps = json.get_int("time_steps", 2, 1'000'000, config.time_steps);
  config.beta_min = json.get_number("beta_min", 0.0, 1.0, config.beta_min);
  config.beta_max = json.get_number("beta_max", 0.0, 1.0, config.beta_max);
  config.cosine_s = json.get_number("cosine_s", 0.0, 1.0, config.cosine_s);
  config.noise_factor = json.get_number("noise_factor", 0.0, 1000.0, config.noise_factor);
  config.sample_noise_factor = json.get_number("sample_noise_factor", 0.0, 1000.0, config.sample_noise_factor);
  return config;
}

nlohmann::json to_json(const NoiseScheduleConfig& config) {
  return {{"schedule", name_of(config.kind)},    {"table", name_of_table(config.table)},
          {"time_steps", config.time_steps},     {"beta_min", config.beta_min},
          {"beta_max", config.beta_max},         {"cosine_s", config.cosine_s},
          {"noise_factor", config.noise_factor}, {"sample_noise_factor", config.sample_noise_factor}};
}

}  // namespace capdiff
