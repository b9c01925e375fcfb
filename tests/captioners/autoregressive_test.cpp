#include "capdiff/captioners/autoregressive.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "capdiff/base/files.h"
#include "capdiff/text/unicode.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_model.h"

namespace capdiff::test {
namespace {

std::vector<Image> six_pictures() {
  std::vector<Image> images;
  for (int k = 0; k < 6; ++k) {
    Image image(30 + 5 * k, 44 - 3 * k);
    for (std::size_t i = 0; i < image.rgb.size(); ++i)
      image.rgb[i] = static_cast<std::uint8_t>((i * static_cast<std::size_t>(5 + 3 * k) + (i % 17) * 29) % 256);
    images.push_back(std::move(image));
  }
  return images;
}

class WritingLeftToRight : public testing::Test {
 protected:
  void SetUp() override { write_tiny_autoregressive_model(folder_.path()); }

  std::unique_ptr<Captioner> load(Backend& backend) const {
    return load_captioner(ModelFolder::open(folder_.path()), backend);
  }

  std::vector<Caption> captions(std::span<const Image> images, const GenerationOptions& options,
                                const BackendOptions& backend_options = {}) const {
    const auto backend = make_onednn_backend(backend_options);
    return load(*backend)->caption(images, options);
  }

  GenerationOptions options(std::int64_t candidates = 1) const {
    GenerationOptions options;
    options.left_to_right = LeftToRight{.beams = 2, .min_length = 2, .max_length = 9, .top_p = 0.95};
    options.candidates = candidates;
    options.seed = 3;
    return options;
  }

  TemporaryFolder folder_;
};

TEST_F(WritingLeftToRight, CaptionsDependOnTheirOwnPictureOnly) {
  const std::vector<Image> images = six_pictures();
  for (const std::int64_t candidates : {1, 3}) {
    const auto together = captions(images, options(candidates), {.threads = 2, .deterministic = true});
    for (std::size_t i = 0; i < images.size(); ++i) {
      const auto alone =
          captions(std::span(images).subspan(i, 1), options(candidates), {.threads = 1, .deterministic = true});
      for (std::size_t k = 0; k < static_cast<std::size_t>(candidates); ++k) {
        EXPECT_EQ(alone[0].candidates.at(k).text, together[i].candidates.at(k).text);
        EXPECT_EQ(alone[0].candidates.at(k).score, together[i].candidates.at(k).score);
      }
    }
  }
}

TEST_F(WritingLeftToRight, CandidatesDependOnSeedAndPicture) {
  const std::vector<Image> images = six_pictures();
  const std::vector<Image> twice{images[0], images[0], images[1]};
  const auto drawn = captions(twice, options(8));
  GenerationOptions other = options(8);
  other.seed = 4;
  const auto reseeded = captions(std::span(twice).first(1), other);
  const auto texts = [](const Caption& caption) {
    std::vector<std::string> texts;
    for (const Candidate& candidate : caption.candidates) texts.push_back(candidate.text);
    return texts;
  };
  EXPECT_EQ(texts(drawn[0]), texts(drawn[1]));
  EXPECT_NE(texts(drawn[0]), texts(drawn[2]));
  EXPECT_NE(texts(drawn[0]), texts(reseeded[0]));
  const std::vector<std::string> first = texts(drawn[0]);
  EXPECT_GT(std::set<std::string>(first.begin(), first.end()).size(), 2u);
}

TEST_F(WritingLeftToRight, MoreBeamsScoreNoWorse) {
  const std::vector<Image> images = six_pictures();
  GenerationOptions greedy = options(), wide = options();
  greedy.left_to_right->beams = 1;
  wide.left_to_right->beams = 20;
  const auto a = captions(images, greedy), b = captions(images, wide);
  for (std::size_t i = 0; i < images.size(); ++i) EXPECT_GE(b[i].candidates[0].score, a[i].candidates[0].score - 1e-6);
}

TEST_F(WritingLeftToRight, FixedLengthsAreExact) {
  const std::vector<Image> images = six_pictures();
  for (const std::int64_t candidates : {1, 2}) {
    GenerationOptions fixed = options(candidates);
    fixed.length = 5;
    for (const Caption& caption : captions(images, fixed))
      for (const Candidate& candidate : caption.candidates)
        EXPECT_EQ(split_white_space(candidate.text).size(), 5u) << candidate.text;
  }
  GenerationOptions endless = options();
  endless.length = 400;
  expect_error(ErrorCode::usage, "--length 400", [&] { captions(images, endless); });
}

TEST_F(WritingLeftToRight, ThePromptIsNotShown) {
  for (const Caption& caption : captions(six_pictures(), options(4)))
    for (const Candidate& candidate : caption.candidates) {
      EXPECT_EQ(candidate.text.find("picture of"), std::string::npos) << candidate.text;
      EXPECT_EQ(candidate.text.find('['), std::string::npos) << candidate.text;
    }
}

TEST_F(WritingLeftToRight, RefusesWhatNeedsDenoising) {
  const auto backend = make_onednn_backend({});
  const auto captioner = load(*backend);
  const std::vector<Image> images = six_pictures();
  expect_error(ErrorCode::unsupported, "from left to right",
               [&] { captioner->fill(images[0], parse_caption_template("a [MASK] dog"), options()); });
  GenerationOptions traced = options();
  traced.trace = true;
  expect_error(ErrorCode::unsupported, "no denoising", [&] { captioner->caption(images, traced); });
  GenerationOptions crossed = options();
  crossed.left_to_right->min_length = 10;
  expect_error(ErrorCode::usage, "at least 10 and at most 9", [&] { captioner->caption(images, crossed); });
}

TEST_F(WritingLeftToRight, DefaultsComeFromTheFolder) {
  const auto backend = make_onednn_backend({});
  const auto captioner = load(*backend);
  EXPECT_EQ(captioner->defaults().left_to_right->beams, 3);
  EXPECT_EQ(captioner->defaults().left_to_right->max_length, 10);
  EXPECT_EQ(captioner->defaults().seed, 7u);
  write_file_atomically(folder_.path() / "generation_config.json", R"({"steps": 5})");
  expect_error(ErrorCode::invalid_model, "steps", [&] { load(*backend); });
}

TEST_F(WritingLeftToRight, FoldersMustFit) {
  const auto backend = make_onednn_backend({});
  const std::filesystem::path file = folder_.path() / "config.json";
  const nlohmann::json whole = JsonReader::open(file).json();
  const auto load_with = [&](const char* key, const nlohmann::json& value) {
    nlohmann::json changed = whole;
    changed[nlohmann::json::json_pointer(key)] = value;
    write_file_atomically(file, changed.dump());
    load(*backend);
  };
  expect_error(ErrorCode::invalid_model, "[START]", [&] { load_with("/begin", "[START]"); });
  expect_error(ErrorCode::invalid_model, "no room", [&] { load_with("/prompt", std::string(60, '.')); });
  expect_error(ErrorCode::invalid_model, "decoder.weight", [&] { load_with("/text/tied", false); });
  expect_error(ErrorCode::invalid_model, "tide", [&] { load_with("/text/tide", true); });
}

TEST(AutoregressiveConfig, SurvivesJson) {
  AutoregressiveConfig config;
  config.image_encoder =
      VisionTransformerConfig{.image_size = 32, .patch = 16, .width = 16, .depth = 1, .heads = 2, .mlp = 32};
  config.text.bert = {
      .vocab_size = 30, .hidden = 16, .layers = 1, .heads = 2, .intermediate = 32, .max_position = 20, .type_vocab = 0};
  config.text.tied = false;
  config.begin = "[DEC]";
  config.prompt = "a picture of ";
  config.length = 19;
  config.label_smoothing = 0.2;
  const AutoregressiveConfig again = AutoregressiveConfig::from_json(JsonReader(config.to_json(), "config.json"));
  EXPECT_EQ(again.to_json(), config.to_json());
  EXPECT_EQ(again.text.encoder_width, 16);
  EXPECT_EQ(again.text.bert.type_vocab, 0);
}

TEST(LeftToRightOptions, SurviveJson) {
  GenerationOptions options;
  options.left_to_right = LeftToRight{.beams = 5,
                                      .min_length = 4,
                                      .max_length = 12,
                                      .length_penalty = 0.5,
                                      .repetition_penalty = 1.2,
                                      .sample = true,
                                      .top_p = 0.8,
                                      .temperature = 0.7};
  GenerationOptions defaults;
  defaults.left_to_right.emplace();
  const GenerationOptions again = generation_options(JsonReader(to_json(options), "generation_config.json"), defaults);
  EXPECT_EQ(to_json(again), to_json(options));
  EXPECT_EQ(describe(again),
            "left to right | top p 0.8 | temperature 0.7 | pieces 4..12 | repetition penalty 1.2 | seed 0");
  EXPECT_EQ(describe(defaults), "left to right | beams 3 | length penalty 1 | pieces 1..16 | seed 0");
}

}  // namespace
}  // namespace capdiff::test
