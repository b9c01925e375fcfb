#include "capdiff/captioners/ladic_config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/expect_error.h"

namespace capdiff::test {
namespace {

LadicConfig sized(Profile profile) {
  LadicConfig config = LadicConfig::of(profile);
  config.image_encoder = VisionTransformerConfig{.image_size = 32, .patch = 8, .width = 16, .heads = 2};
  config.text.bert = {.vocab_size = 50, .hidden = 16, .layers = 12, .heads = 2, .intermediate = 32, .max_position = 64};
  config.denoiser.hidden = 32;
  config.denoiser.latent = 16;
  return config;
}

LadicConfig read(const nlohmann::json& config, const nlohmann::json& scheduler) {
  const JsonReader scheduler_reader(scheduler, "scheduler_config.json");
  return LadicConfig::from_json(JsonReader(config, "config.json"), &scheduler_reader);
}

TEST(LadicConfig, ProfilesSurviveJson) {
  for (const Profile profile : {Profile::paper, Profile::released}) {
    const LadicConfig config = sized(profile);
    const LadicConfig again = read(config.to_json(), config.scheduler_to_json());
    EXPECT_EQ(again.to_json(), config.to_json());
    EXPECT_EQ(again.scheduler_to_json(), config.scheduler_to_json());
  }
}

TEST(LadicConfig, TheProfileIsTheDefaultOfEachDifferenceAndEachCanBeChosenAlone) {
  nlohmann::json json = sized(Profile::paper).to_json();
  json["profile"] = "released";
  for (const char* key : {"latent_loss", "special_targets", "caption_text"}) json.erase(key);
  for (const char* key : {"decoder_layers", "encoder_layers", "special_latent", "target_dropout"})
    json["text"].erase(key);
  const LadicConfig released = read(json, nlohmann::json::object());
  EXPECT_EQ(released.to_json(), sized(Profile::released).to_json());
  EXPECT_EQ(released.scheduler_to_json(), sized(Profile::released).scheduler_to_json());
  EXPECT_EQ(released.generation().sampler, SamplerKind::renoise);
  EXPECT_TRUE(released.generation().back_and_refine.noisy);

  json["special_targets"] = "tokens";
  json["text"]["decoder_layers"] = 6;
  const LadicConfig mixed = read(json, {{"schedule", "sqrt"}, {"time_grid", "even"}});
  EXPECT_EQ(mixed.special_targets, SpecialTargets::tokens);
  EXPECT_EQ(mixed.text.decoder_layers, 6);
  EXPECT_EQ(mixed.schedule.kind, ScheduleKind::sqrt);
  EXPECT_EQ(mixed.time_grid, TimeGrid::even);
  EXPECT_EQ(mixed.latent_loss, LatentLoss::mean_l2);
}

TEST(LadicConfig, RefusesUnknownChoices) {
  nlohmann::json json = sized(Profile::paper).to_json();
  json["profile"] = "relased";
  expect_error(ErrorCode::invalid_input, "profile", [&] { read(json, nlohmann::json::object()); });
  json["profile"] = "paper";
  expect_error(ErrorCode::invalid_input, "schedule", [&] { read(json, {{"schedule", "cosin"}}); });
  json["diffuser"]["conditioning"] = "telepathy";
  expect_error(ErrorCode::invalid_input, "conditioning", [&] { read(json, nlohmann::json::object()); });
}

TEST(GenerationOptions, SurviveJson) {
  GenerationOptions options{.steps = 12,
                            .sampler = SamplerKind::dpm_solver,
                            .eta = 0.5,
                            .guidance = 3.0,
                            .guidance_low = 0.25,
                            .spacing = 1.5,
                            .time_shift = 0.02,
                            .settling = {.stop_after = 4, .freeze_after = 3},
                            .refine = true,
                            .seed = 9,
                            .candidates = 4,
                            .select = Selection::mbr,
                            .utility = Utility::cider_d};
  options.back_and_refine.min_confidence = 0.4;
  const GenerationOptions again = generation_options(JsonReader(to_json(options), "generation_config.json"), {});
  EXPECT_EQ(to_json(again), to_json(options));
  EXPECT_EQ(describe(again), describe(options));
  EXPECT_NE(describe(options), describe({}));
}

}  // namespace
}  // namespace capdiff::test
