#include "capdiff/evaluation/clip_score.h"

#include <gmock/gmock.h>

#include "capdiff/image/decode.h"
#include "tests/image/pictures.h"
#include "tests/support/clip_reference.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff::test {
namespace {

/// Scores of a small CLIP, and the same in double precision.
class ClipScoring : public testing::Test {
 protected:
  ClipScoring() { write_clip_folder(clip_, folder_.path() / "clip"); }

  ClipScorer scorer(ClipScoreOptions options = {}) const { return {folder_.path() / "clip", *backend_, options}; }

  static Image picture(int seed) {
    Image image(20, 16);
    for (std::size_t i = 0; i < image.rgb.size(); ++i)
      image.rgb[i] = static_cast<std::uint8_t>((i * static_cast<std::size_t>(37 + 11 * seed) + i / 60 * 29) % 256);
    return image;
  }

  Array unit_image(const Image& image) const {
    Preprocessor preprocessor;
    preprocessor.size = 12;
    preprocessor.fit = Preprocessor::Fit::center_crop;
    const HostTensor pixels = preprocessor.pixels(image);
    return unit_rows(
        clip_.image_features(array({1, 3, 12, 12}, {pixels.values<float>().begin(), pixels.values<float>().end()})));
  }

  Array unit_text(const std::string& text) const {
    const EncodedText encoded = ClipBpe::parse(tiny_merges(), "").encode(prefix_ + text, clip_.config.text.length);
    return unit_rows(clip_.text_features({encoded.ids}));
  }

  double expected_score(const Image& image, const std::string& caption) const {
    return 2.5 * std::max(dot(unit_image(image), 0, unit_text(caption), 0), 0.0);
  }

  TemporaryFolder folder_;
  ClipReference clip_{1000};  // cosines of either sign
  std::string prefix_ = "A photo depicts ";
  std::unique_ptr<Backend> backend_ = make_onednn_backend({});
  std::vector<Image> images_{picture(0), picture(1), picture(2)};
  std::vector<std::string> captions_{"the dog", "a cat sits", "on"};
  std::vector<std::vector<std::string>> references_{{"a dog", "the cat"}, {"the cat sits"}, {"x", "dog", "on the dog"}};
};

TEST_F(ClipScoring, FollowsTheFormulas) {
  const ClipScores scores = scorer().score(images_, captions_, references_);
  ASSERT_EQ(scores.clip_score.per_image.size(), 3u);
  ASSERT_TRUE(scores.ref_clip_score);
  double sum = 0.0, ref_sum = 0.0;
  for (std::size_t i = 0; i < 3; ++i) {
    const double clip = expected_score(images_[i], captions_[i]);
    double best = -2.0;
    for (const std::string& reference : references_[i])
      best = std::max(best, dot(unit_text(captions_[i]), 0, unit_text(reference), 0));
    const double ref_clip = 2.0 * clip * best / (clip + best);
    EXPECT_NEAR(scores.clip_score.per_image[i], clip, 1e-5) << i;
    EXPECT_NEAR(scores.ref_clip_score->per_image[i], ref_clip, 1e-5) << i;
    sum += clip;
    ref_sum += ref_clip;
  }
  EXPECT_GT(sum, 0.1);
  EXPECT_NEAR(scores.clip_score.corpus, sum / 3.0, 1e-5);
  EXPECT_NEAR(scores.ref_clip_score->corpus, ref_sum / 3.0, 1e-5);
}

TEST_F(ClipScoring, BatchesChangeNothing) {
  const ClipScores whole = scorer().score(images_, captions_, references_);
  std::vector<std::size_t> progress;
  const ClipScores parts = scorer({.batch = 2, .on_progress = [&](std::size_t done) { progress.push_back(done); }})
                               .score(images_, captions_, references_);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(parts.clip_score.per_image[i], whole.clip_score.per_image[i], 1e-6);
    EXPECT_NEAR(parts.ref_clip_score->per_image[i], whole.ref_clip_score->per_image[i], 1e-6);
  }
  EXPECT_THAT(progress, testing::ElementsAre(2, 1));
}

TEST_F(ClipScoring, NeedsNoReferences) {
  const ClipScores scores = scorer().score(images_, captions_);
  EXPECT_FALSE(scores.ref_clip_score);
  EXPECT_NEAR(scores.clip_score.per_image[1], expected_score(images_[1], captions_[1]), 1e-5);
}

TEST_F(ClipScoring, ReadsPicturesFromFilesAsTheyAreStored) {
  std::vector<std::filesystem::path> paths;
  for (std::size_t i = 0; i < images_.size(); ++i) {
    // Orientation 6 asks for a quarter turn.
    const Bytes jpeg = with_exif(encode_jpeg(images_[i]), orientation_tiff(6));
    const std::string name = std::to_string(i) + ".jpg";
    paths.push_back(folder_.write(name, {reinterpret_cast<const char*>(jpeg.data()), jpeg.size()}));
    images_[i] = decode(jpeg, name, {.apply_exif_orientation = false});
  }
  EXPECT_EQ(scorer().score(paths, captions_).clip_score.per_image,
            scorer().score(images_, captions_).clip_score.per_image);
  paths[1] = folder_.path() / "nowhere.jpg";
  expect_error(ErrorCode::not_found, "nowhere.jpg", [&] { scorer().score(paths, captions_); });
}

TEST_F(ClipScoring, PrefixAndWeightAreOptions) {
  const ClipScores scores = scorer({.prefix = "", .weight = 1.0}).score(images_, captions_);
  prefix_ = "";
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_NEAR(scores.clip_score.per_image[i], expected_score(images_[i], captions_[i]) / 2.5, 1e-5) << i;
}

TEST_F(ClipScoring, CountsTextsThatAreTooLong) {
  EXPECT_EQ(scorer().score(images_, captions_, references_).truncated, 0u);
  captions_[0] = "the dog on the cat on the dog on the cat on the dog";
  references_[2].push_back("the the the the the the the the the the the");
  const ClipScores scores = scorer().score(images_, captions_, references_);
  EXPECT_EQ(scores.truncated, 2u);
  EXPECT_NEAR(scores.clip_score.per_image[0], expected_score(images_[0], captions_[0]), 1e-5);
}

TEST_F(ClipScoring, RefusesNumbersThatDiffer) {
  expect_error(ErrorCode::invalid_input, "no", [&] { scorer().score(std::span<const Image>(), {}); });
  const std::vector<std::string> two{"a", "b"};
  expect_error(ErrorCode::invalid_input, "3 pictures with 2", [&] { scorer().score(images_, two); });
  references_.pop_back();
  expect_error(ErrorCode::invalid_input, "references of 2", [&] { scorer().score(images_, captions_, references_); });
  references_.emplace_back();
  expect_error(ErrorCode::invalid_input, "picture 2", [&] { scorer().score(images_, captions_, references_); });
}

TEST_F(ClipScoring, RefusesFoldersThatDoNotFit) {
  const std::filesystem::path clip = folder_.path() / "clip";
  folder_.write("clip/merges.txt", "a b\n");
  expect_error(ErrorCode::invalid_model, "515 tokens, but the model is for 524", [&] { scorer(); });
  std::filesystem::remove(clip / "merges.txt");
  expect_error(ErrorCode::not_found, "merges.txt", [&] { scorer(); });
  folder_.write("clip/merges.txt", tiny_merges());
  folder_.write("clip/preprocessor_config.json", R"({"size": 13})");
  expect_error(ErrorCode::invalid_model, "13 pixels", [&] { scorer(); });
}

TEST(ClipScoreFormulas, HaveTheirLimits) {
  EXPECT_DOUBLE_EQ(clip_score(0.3), 0.75);
  EXPECT_DOUBLE_EQ(clip_score(-0.3), 0.0);
  EXPECT_DOUBLE_EQ(ref_clip_score(0.5, 0.5), 0.5);
  EXPECT_DOUBLE_EQ(ref_clip_score(0.0, 0.5), 0.0);
  EXPECT_DOUBLE_EQ(ref_clip_score(0.0, 0.0), 0.0);
}

}  // namespace
}  // namespace capdiff::test
