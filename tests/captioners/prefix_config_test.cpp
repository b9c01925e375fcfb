#include "capdiff/captioners/prefix_config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "capdiff/captioners/captioner.h"
#include "capdiff/captioners/prefix_model.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_model.h"

namespace capdiff::test {
namespace {

PrefixConfig read_prefix(const nlohmann::json& config, const nlohmann::json& scheduler) {
  const JsonReader model(config, "config.json", ErrorCode::invalid_model);
  const JsonReader schedule(scheduler, "scheduler_config.json", ErrorCode::invalid_model);
  return PrefixConfig::from_json(model, &schedule);
}

TEST(PrefixConfig, RoundTripsInBothProfilesAndWithBothMappers) {
  for (const Profile profile : {Profile::paper, Profile::released})
    for (const MapperKind mapper : {MapperKind::mlp, MapperKind::transformer}) {
      PrefixConfig config = PrefixConfig::of(profile);
      config.denoiser.mapper.kind = mapper;
      config.denoiser.mapper.prefix = 7;
      config.text.width = 16;
      config.schedule.time_steps = 500;
      config.null_image = true;
      const PrefixConfig read = read_prefix(config.to_json(), config.scheduler_to_json());
      EXPECT_EQ(read.to_json(), config.to_json());
      EXPECT_EQ(read.scheduler_to_json(), config.scheduler_to_json());
      EXPECT_EQ(read.denoiser.latent, 16);
      EXPECT_EQ(read.denoiser.mapper.feature, config.clip.embed);
    }
}

TEST(PrefixConfig, ProfilesDifferWherePaperAndCodeDo) {
  const PrefixConfig paper = PrefixConfig::of(Profile::paper), released = PrefixConfig::of(Profile::released);
  EXPECT_EQ(paper.schedule.kind, ScheduleKind::truncated_linear);
  EXPECT_EQ(released.schedule.kind, ScheduleKind::truncated_cosine);
  EXPECT_EQ(paper.respacing, Respacing::stride);
  EXPECT_EQ(released.respacing, Respacing::rebuild);
  EXPECT_EQ(paper.generation().steps, 30);
  EXPECT_EQ(released.generation().steps, 200);
  EXPECT_EQ(released.generation().eta, 1.0);
  EXPECT_EQ(released.generation().clamping.kind, Clamping::Kind::hard);
}

TEST(PrefixConfig, RefusesWhatItDoesNotKnow) {
  nlohmann::json config = PrefixConfig::of(Profile::paper).to_json();
  const nlohmann::json scheduler = PrefixConfig::of(Profile::paper).scheduler_to_json();
  config["mapper"]["widht"] = 3;
  expect_error(ErrorCode::invalid_model, "widht", [&] { read_prefix(config, scheduler); });
  config["mapper"] = {{"type", "transformer"}, {"heads", 7}};
  expect_error(ErrorCode::invalid_model, "heads", [&] { read_prefix(config, scheduler); });
}

TEST(PrefixDiffusion, SaysWhatItCannotDo) {
  const TemporaryFolder folder;
  write_tiny_prefix_model(folder.path());
  nlohmann::json config = read_json(folder.path() / "config.json");
  config["null_image"] = false;
  write_file_atomically(folder.path() / "config.json", config.dump());
  const auto backend = make_onednn_backend({});
  const auto captioner = load_captioner(ModelFolder::open(folder.path()), *backend);
  EXPECT_EQ(captioner->defaults().guidance, 0.0);
  const Image image(32, 32);
  expect_error(ErrorCode::unsupported, "without a picture", [&] {
    captioner->caption({&image, 1}, {.steps = 2, .guidance = 1.0});
  });
  EXPECT_EQ(captioner->caption({&image, 1}, captioner->defaults()).size(), 1u);
}

TEST(PrefixDiffusion, ClampsAndRebuildsItsSchedule) {
  const TemporaryFolder folder;
  write_tiny_prefix_model(folder.path());
  // Clamped estimates are words, so that single candidates may well agree.
  const auto score = [&](const GenerationOptions& options) {
    const auto backend = make_onednn_backend({});
    const Image image(40, 30);
    double sum = 0.0;
    for (const Caption& caption :
         load_captioner(ModelFolder::open(folder.path()), *backend)->caption({&image, 1}, options))
      for (const Candidate& candidate : caption.candidates) sum += candidate.score;
    return sum;
  };
  const GenerationOptions free{.steps = 30, .eta = 1.0, .guidance = 0.0, .candidates = 12};
  GenerationOptions hard = free, late = free, soft = free;
  hard.clamping.kind = late.clamping.kind = Clamping::Kind::hard;
  late.clamping.from = 0.5;
  soft.clamping.kind = Clamping::Kind::soft;
  const std::set<double> scores{score(free), score(hard), score(late), score(soft)};
  EXPECT_EQ(scores.size(), 4u);

  nlohmann::json scheduler = read_json(folder.path() / "scheduler_config.json");
  const double strided = score(hard);
  scheduler["respacing"] = "rebuild";
  write_file_atomically(folder.path() / "scheduler_config.json", scheduler.dump());
  EXPECT_NE(score(hard), strided);
}

TEST(Ladic, HasNoWordsToClampTo) {
  const TemporaryFolder folder;
  write_tiny_model(folder.path());
  const auto backend = make_onednn_backend({});
  const Image image(32, 32);
  GenerationOptions options{.steps = 2};
  options.clamping.kind = Clamping::Kind::hard;
  const auto captioner = load_captioner(ModelFolder::open(folder.path()), *backend);
  expect_error(ErrorCode::unsupported, "no table of words", [&] { captioner->caption({&image, 1}, options); });
}

}  // namespace
}  // namespace capdiff::test
