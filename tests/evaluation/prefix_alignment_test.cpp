#include "capdiff/evaluation/prefix_alignment.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "capdiff/captioners/prefix_diffusion.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_model.h"

namespace capdiff::test {
namespace {

TEST(CosineDistribution, CountsInEqualBins) {
  const CosineDistribution distribution = cosine_distribution(std::vector<double>{-1.0, 0.05, 0.05, 1.0});
  EXPECT_EQ(distribution.count, 4);
  EXPECT_NEAR(distribution.mean, 0.025, 1e-12);
  EXPECT_NEAR(distribution.deviation, std::sqrt((1.025 * 1.025 + 2 * 0.025 * 0.025 + 0.975 * 0.975) / 4), 1e-12);
  EXPECT_EQ(distribution.histogram.front(), 1);
  EXPECT_EQ(distribution.histogram[10], 2);
  EXPECT_EQ(distribution.histogram.back(), 1);
}

class Alignment : public testing::Test {
 protected:
  void SetUp() override { write_tiny_prefix_model(folder_.path()); }

  PrefixAlignment align(const std::vector<std::vector<std::string>>& captions) {
    const auto backend = make_onednn_backend({});
    const ModelFolder folder = ModelFolder::open(folder_.path());
    const PrefixConfig config = PrefixConfig::of_folder(folder);
    const PrefixModel model(*backend, prefix_parameters(folder), config, /*with_image_tower=*/false);
    HostTensor features(DType::f32, {static_cast<std::int64_t>(captions.size()), config.clip.embed});
    for (std::size_t i = 0; i < features.values<float>().size(); ++i)
      features.mutable_values<float>()[i] = std::sin(static_cast<float>(7 * i));
    return prefix_alignment(*backend, model, WordVocabulary::load(folder_.path() / "vocab.txt"), features, captions);
  }

  TemporaryFolder folder_;
};

TEST_F(Alignment, ComparesEveryPictureWithItsCaptionsAndThoseOfTheNext) {
  const PrefixAlignment alignment = align({{"a man rides", "two horse"}, {"the dog runs"}, {"red beach"}});
  EXPECT_EQ(alignment.own.count, 4);
  EXPECT_EQ(alignment.others.count, 4);
  EXPECT_GE(alignment.own_is_nearer, 0.0);
  EXPECT_LE(alignment.own_is_nearer, 1.0);
  EXPECT_EQ(to_json(alignment).at("own").at("count"), 4);
  EXPECT_NE(to_text(alignment).find("the own caption is nearer"), std::string::npos);
}

TEST_F(Alignment, FindsNoPictureNearerThanAnotherWhereAllSayTheSame) {
  const PrefixAlignment alignment = align({{"a dog"}, {"a dog"}});
  EXPECT_EQ(alignment.own_is_nearer, 0.0);
  EXPECT_NEAR(alignment.own.mean, alignment.others.mean, 1e-6);
  expect_error(ErrorCode::invalid_input, "two pictures", [&] { align({{"a dog"}}); });
}

}  // namespace
}  // namespace capdiff::test
