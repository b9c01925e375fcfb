#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "capdiff.h"
#include "capdiff.hpp"

namespace {

using testing::HasSubstr;

const std::string kModel = CAPDIFF_SOURCE_DIR "/models/default";

std::string scene() {
  std::ifstream file(CAPDIFF_SOURCE_DIR "/tests/e2e/scene.png", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class CApi : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    ASSERT_EQ(capdiff_open(kModel.c_str(), R"({"threads": 1, "deterministic": true})", &model_), CAPDIFF_OK)
        << capdiff_last_error();
  }
  static void TearDownTestSuite() { capdiff_close(model_); }

  /// The status, and the error's text where there is one.
  std::pair<capdiff_status, std::string> caption(const capdiff_picture& picture, const char* options) {
    capdiff_captions* captions = nullptr;
    const capdiff_status status = capdiff_caption(model_, &picture, 1, options, &captions);
    EXPECT_EQ(captions == nullptr, status != CAPDIFF_OK);
    std::string text = status == CAPDIFF_OK ? capdiff_text(captions, 0) : capdiff_last_error();
    capdiff_free(captions);
    return {status, text};
  }

  static inline capdiff_model* model_ = nullptr;
  const std::string file_ = scene();
  const capdiff_picture picture_{file_.data(), file_.size(), 0, 0};
};

TEST_F(CApi, CaptionsAFileAndPixelsAlike) {
  const std::vector<unsigned char> grey(3 * 40 * 30, 128);
  const capdiff_picture pictures[] = {picture_, {grey.data(), grey.size(), 40, 30}};
  capdiff_captions* captions = nullptr;
  ASSERT_EQ(capdiff_caption(model_, pictures, 2, R"({"preset": "fast", "candidates": 2})", &captions), CAPDIFF_OK)
      << capdiff_last_error();
  EXPECT_EQ(capdiff_count(captions), 2u);
  EXPECT_EQ(caption(picture_, R"({"preset": "fast", "candidates": 2})").second, capdiff_text(captions, 0));
  EXPECT_STRNE(capdiff_text(captions, 1), "");
  EXPECT_EQ(capdiff_text(captions, 2), nullptr);
  EXPECT_THAT(capdiff_json(captions), HasSubstr("\"candidates\":[{\"text\":"));
  capdiff_free(captions);
}

TEST_F(CApi, FillsBlanks) {
  capdiff_captions* captions = nullptr;
  ASSERT_EQ(capdiff_fill(model_, &picture_, "a [MASK] on the grass", R"({"steps": 3})", &captions), CAPDIFF_OK);
  EXPECT_THAT(capdiff_text(captions, 0), testing::MatchesRegex("a [a-z]+ on the grass"));
  capdiff_free(captions);
}

TEST_F(CApi, TellsWhatIsWrong) {
  const std::string text = "no picture at all";
  const auto [status, error] = caption({text.data(), text.size(), 0, 0}, nullptr);
  EXPECT_EQ(status, CAPDIFF_INVALID_INPUT);
  EXPECT_THAT(error, HasSubstr("picture 0"));
  EXPECT_EQ(caption({text.data(), text.size(), 3, 2}, nullptr).first, CAPDIFF_USAGE);
  EXPECT_EQ(caption({text.data(), text.size(), 1 << 30, 1 << 30}, nullptr).first, CAPDIFF_USAGE);
  EXPECT_EQ(caption({nullptr, 5, 0, 0}, nullptr).first, CAPDIFF_USAGE);
  for (const char* options : {"{", "[]", R"({"stepps": 3})", R"({"steps": 0})", R"({"preset": "slow"})",
                              R"({"select": "clip"})", R"({"length": 0})"})
    EXPECT_EQ(caption(picture_, options).first, CAPDIFF_USAGE) << options;
  EXPECT_THAT(caption(picture_, R"({"stepps": 3})").second, HasSubstr("stepps"));
  capdiff_captions* captions = nullptr;
  EXPECT_EQ(capdiff_fill(model_, &picture_, "no blank", nullptr, &captions), CAPDIFF_USAGE);
  EXPECT_EQ(capdiff_fill(model_, &picture_, "a \xff [MASK]", nullptr, &captions), CAPDIFF_USAGE);
  EXPECT_EQ(capdiff_caption(nullptr, &picture_, 1, nullptr, &captions), CAPDIFF_USAGE);
  EXPECT_EQ(capdiff_caption(model_, nullptr, 1, nullptr, &captions), CAPDIFF_USAGE);
  EXPECT_EQ(capdiff_caption(model_, &picture_, 1, nullptr, nullptr), CAPDIFF_USAGE);
  capdiff_model* model = nullptr;
  EXPECT_EQ(capdiff_open("/no/such/model", nullptr, &model), CAPDIFF_NOT_FOUND);
  EXPECT_EQ(model, nullptr);
  EXPECT_EQ(capdiff_open(kModel.c_str(), R"({"dtype": "f8"})", &model), CAPDIFF_USAGE);
}

TEST_F(CApi, SeveralThreadsShareAModel) {
  const std::string alone = caption(picture_, R"({"steps": 2})").second;
  std::vector<std::string> texts(3);
  std::vector<std::thread> threads;
  for (std::string& text : texts) threads.emplace_back([&] { text = caption(picture_, R"({"steps": 2})").second; });
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(texts, testing::Each(alone));
}

TEST(CppApi, ThrowsAndOwns) {
  const std::string file = scene();
  const capdiff::library::Model model(kModel, R"({"threads": 1})");
  EXPECT_FALSE(model.caption(capdiff::library::picture_file(file.data(), file.size()), R"({"steps": 2})").empty());
  EXPECT_THROW(capdiff::library::Model("/no/such/model"), capdiff::library::Error);
  EXPECT_THROW(model.caption(capdiff::library::picture_file(file.data(), 10)), capdiff::library::Error);
}

}  // namespace
