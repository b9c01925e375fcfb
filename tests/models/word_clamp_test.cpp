#include "capdiff/models/word_clamp.h"

#include <gtest/gtest.h>

#include "capdiff/base/error.h"
#include "capdiff/models/word_space.h"

namespace capdiff {
namespace {

class WordClamping : public testing::Test {
 protected:
  Value upload(const Shape& shape, const std::vector<float>& values) {
    return backend_->upload(HostTensor::of(shape, values));
  }

  std::unique_ptr<Backend> backend_ = make_onednn_backend({});
  // Three words of which the longest has the largest products with anything.
  HostTensor words_ = HostTensor::of({3, 2}, std::vector<float>{1, 0, 0, 1, 5, 5});
  WordClamp clamp_{*backend_, words_};
};

TEST_F(WordClamping, FindsTheNearestWordAndNotTheOneWithTheLargestProduct) {
  const Value x = upload({1, 3, 2}, {0.9f, 0.2f, 0.1f, 0.7f, 4.0f, 3.0f});
  const HostTensor ids = backend_->download(clamp_.nearest(x));
  EXPECT_EQ(std::vector<std::int64_t>(ids.values<std::int64_t>().begin(), ids.values<std::int64_t>().end()),
            (std::vector<std::int64_t>{0, 1, 2}));
  const HostTensor hard = backend_->download(clamp_(x, {.kind = Clamping::Kind::hard}));
  EXPECT_EQ(hard.values<float>()[0], 1.0f);
  EXPECT_EQ(hard.values<float>()[5], 5.0f);
}

TEST_F(WordClamping, SoftClampingIsAMeanThatBecomesHardWhenItIsCold) {
  const Value x = upload({1, 1, 2}, {0.5f, 0.5f});
  const HostTensor warm = backend_->download(clamp_(x, {.kind = Clamping::Kind::soft, .temperature = 1.0}));
  EXPECT_NEAR(warm.values<float>()[0], 0.5f, 1e-5f);  // between the first two words, the third is far
  const Value near = upload({1, 1, 2}, {0.6f, 0.4f});
  const HostTensor cold = backend_->download(clamp_(near, {.kind = Clamping::Kind::soft, .temperature = 1e-3}));
  EXPECT_NEAR(cold.values<float>()[0], 1.0f, 1e-5f);
  EXPECT_NEAR(cold.values<float>()[1], 0.0f, 1e-5f);
}

TEST_F(WordClamping, ActsFromItsTimeOn) {
  const Clamping late{.kind = Clamping::Kind::hard, .from = 0.5};
  EXPECT_FALSE(late.acts_at(501, 1000));
  EXPECT_TRUE(late.acts_at(500, 1000));
  EXPECT_FALSE(Clamping{}.acts_at(0, 1000));
  EXPECT_EQ(clamping_kind(name_of(Clamping::Kind::soft)), Clamping::Kind::soft);
  EXPECT_THROW(clamping_kind("firm"), Error);
}

TEST(WordSpace, ReadsLatentsByProductOrByDistance) {
  const auto backend = make_onednn_backend({});
  ParameterStore parameters;
  parameters.add("word_embedding.weight", HostTensor::of({2, 2}, std::vector<float>{1, 0, 3, 4}));
  parameters.add("lm_head.bias", HostTensor::of({2}, std::vector<float>{0.5f, 0}));
  const Value x = backend->upload(HostTensor::of({1, 1, 2}, std::vector<float>{1, 1}));
  const WordSpace dot(*backend, Scope(parameters), {.vocab_size = 2, .width = 2});
  const HostTensor products = backend->download(dot.logits(x));
  EXPECT_FLOAT_EQ(products.values<float>()[0], 1.5f);
  EXPECT_FLOAT_EQ(products.values<float>()[1], 7.0f);
  const WordSpace distance(*backend, Scope(parameters), {.vocab_size = 2, .width = 2, .logits = WordLogits::distance});
  const HostTensor distances = backend->download(distance.logits(x));
  EXPECT_FLOAT_EQ(distances.values<float>()[0], -1.0f);
  EXPECT_FLOAT_EQ(distances.values<float>()[1], -std::sqrt(13.0f));
}

}  // namespace
}  // namespace capdiff
