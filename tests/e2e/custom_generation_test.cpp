#include <gtest/gtest.h>

#include <algorithm>

#include "capdiff/base/error.h"
#include "capdiff/base/philox.h"
#include "capdiff/captioners/captioner.h"
#include "capdiff/formats/karpathy.h"
#include "capdiff/image/decode.h"
#include "capdiff/text/unicode.h"
#include "tests/support/shared.h"

namespace capdiff::test {
namespace {

constexpr std::size_t kFills = 500, kLengths = 200;
constexpr std::int64_t kWords = 8;
constexpr std::size_t kLongest = 12;  // words of a caption that is likely to fit the model

/// The shipped model and the photos that it has never seen.
class CustomGeneration : public testing::Test {
 protected:
  void SetUp() override {
    CAPDIFF_SHARED_OR_SKIP(data, "data/flickr8k");
    images_ = data / "images";
    dataset_ = read_karpathy(data / "dataset_flickr8k.json", {"val"});
    backend_ = make_onednn_backend({});
    captioner_ =
        load_captioner(ModelFolder::open(std::filesystem::path(CAPDIFF_SOURCE_DIR) / "models/default"), *backend_);
    options_ = captioner_->defaults();
    options_.steps = 5;
  }
  Image photo(std::size_t index) const { return read_image(images_ / dataset_.images[index].path); }

  std::filesystem::path images_;
  CaptionDataset dataset_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Captioner> captioner_;
  GenerationOptions options_;
};

/// Blanks two to four words and returns the sentence; the words that stay are marked in `given`.
std::string blanked(std::vector<std::string> words, std::uint64_t number, std::vector<bool>& given) {
  RandomStream random(2024, 0, number);
  given.assign(words.size(), true);
  const std::uint64_t blanks = std::min<std::uint64_t>(2 + random.below(3), words.size());
  for (std::uint64_t left = blanks; left > 0;) {
    const std::size_t at = random.below(words.size());
    if (!given[at]) continue;
    given[at] = false;
    words[at] = "[MASK]";
    --left;
  }
  std::string sentence;
  for (const std::string& word : words) sentence += (sentence.empty() ? "" : " ") + word;
  return sentence;
}

TEST_F(CustomGeneration, FillsKeepTheGivenWordsInOrder) {
  std::size_t filled = 0;
  for (std::size_t i = 0; filled < kFills && i < dataset_.images.size(); ++i) {
    const std::vector<std::string> words = split_white_space(dataset_.images[i].captions.front());
    if (words.size() > kLongest) continue;
    std::vector<bool> given;
    const std::string sentence = blanked(words, i, given);
    Caption caption;
    try {
      caption = captioner_->fill(photo(i), parse_caption_template(sentence), options_);
    } catch (const Error& error) {
      // Rare words are many pieces: such a sentence is too long, and another one takes its place.
      ASSERT_EQ(error.code(), ErrorCode::usage) << error.what();
      continue;
    }
    const std::vector<std::string> result = split_white_space(caption.text);
    ASSERT_EQ(result.size(), words.size()) << sentence << " -> " << caption.text;
    for (std::size_t w = 0; w < words.size(); ++w) {
      if (given[w]) EXPECT_EQ(result[w], words[w]) << sentence << " -> " << caption.text;
    }
    EXPECT_EQ(caption.text.find('['), std::string::npos) << caption.text;
    ++filled;
  }
  EXPECT_EQ(filled, kFills);
}

TEST_F(CustomGeneration, CaptionsOfEightWordsHaveEightWords) {
  options_.length = kWords;
  for (std::size_t begin = 0; begin < kLengths; begin += 20) {
    std::vector<Image> photos;
    for (std::size_t i = begin; i < begin + 20; ++i) photos.push_back(photo(i));
    for (const Caption& caption : captioner_->caption(photos, options_)) {
      const std::vector<std::string> words = split_white_space(caption.text);
      EXPECT_EQ(words.size(), static_cast<std::size_t>(kWords)) << caption.text;
      EXPECT_EQ(std::ranges::adjacent_find(words), words.end()) << caption.text;
    }
  }
}

}  // namespace
}  // namespace capdiff::test
