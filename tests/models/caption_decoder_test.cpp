#include "capdiff/models/caption_decoder.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/expect_error.h"

namespace capdiff {
namespace {

CaptionDecoderConfig small_decoder(bool tied = true) {
  CaptionDecoderConfig config;
  config.bert = {.vocab_size = 17,
                 .hidden = 16,
                 .layers = 2,
                 .heads = 2,
                 .intermediate = 32,
                 .max_position = 8,
                 .type_vocab = 0,
                 .init_std = 0.3f};
  config.encoder_width = 12;
  config.tied = tied;
  return config;
}

/// A decoder with weights of its own, and two pictures.
class DecodingCaptions : public testing::Test {
 protected:
  DecodingCaptions() {
    parameters_.initialise_missing(4);
    decoder_.emplace(*backend_, Scope(parameters_), small_decoder());
    HostTensor tokens(DType::f32, {2, 5, 12});
    for (std::size_t i = 0; i < tokens.values<float>().size(); ++i)
      tokens.mutable_values<float>()[i] = std::sin(static_cast<float>(3 * i + 1));
    image_ = decoder_->image(backend_->upload(tokens));
    second_ = decoder_->image(backend_->upload(tokens.slice(1, 2)));
  }

  Value ids(Shape shape, std::vector<std::int64_t> values) const {
    return backend_->upload(HostTensor::of(std::move(shape), values));
  }

  std::unique_ptr<Backend> backend_ = make_onednn_backend({});
  ParameterStore parameters_;
  std::optional<CaptionDecoder> decoder_;
  std::vector<KeyValue> image_, second_;
};

void expect_near(std::span<const float> a, std::span<const float> b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 2e-5f) << i;
}

TEST_F(DecodingCaptions, StepsWithACacheSayWhatTheWholeTextSays) {
  const std::vector<std::int64_t> text{3, 5, 7, 9, 11, 2, 16, 4, 8, 1, 6, 12};
  const HostTensor whole = backend_->download((*decoder_)(ids({2, 6}, text), {}, image_));
  CaptionDecoder::Written written;
  HostTensor step = backend_->download(decoder_->extend(ids({2, 2}, {3, 5, 16, 4}), written, image_));
  for (std::int64_t length = 2;; ++length) {
    for (std::int64_t row = 0; row < 2; ++row)
      expect_near(whole.values<float>().subspan(static_cast<std::size_t>((row * 6 + length - 1) * 17), 17),
                  step.values<float>().subspan(static_cast<std::size_t>(row * 17), 17));
    if (length == 6) break;
    const auto at = static_cast<std::size_t>(length);
    step = backend_->download(decoder_->extend(ids({2, 1}, {text[at], text[at + 6]}), written, image_));
  }
  EXPECT_EQ(written.length, 6);
}

TEST_F(DecodingCaptions, RowsGoOnFromOthers) {
  CaptionDecoder::Written written;
  decoder_->extend(ids({2, 2}, {3, 5, 3, 6}), written, image_);
  // Two rows for each picture: both of the second continue what its only row was.
  written = written.gather(*backend_, ids({4}, {0, 0, 1, 1}));
  const HostTensor next = backend_->download(decoder_->extend(ids({4, 1}, {7, 8, 7, 8}), written, image_));
  const HostTensor whole = backend_->download((*decoder_)(ids({1, 3}, {3, 6, 8}), {}, second_));
  expect_near(next.values<float>().subspan(3 * 17, 17), whole.values<float>().subspan(2 * 17, 17));
}

TEST_F(DecodingCaptions, NothingSeesWhatComesLater) {
  const HostTensor a = backend_->download((*decoder_)(ids({1, 4}, {3, 5, 7, 9}), {}, second_));
  const HostTensor b = backend_->download((*decoder_)(ids({1, 4}, {3, 5, 8, 2}), {}, second_));
  expect_near(a.values<float>().first(2 * 17), b.values<float>().first(2 * 17));
  EXPECT_NE(a.values<float>()[2 * 17], b.values<float>()[2 * 17]);
}

TEST_F(DecodingCaptions, GivenTokensAndPaddingAreNotLearnt) {
  const auto loss = [&](std::vector<std::int64_t> text, std::vector<std::int64_t> targets) {
    const Value value = decoder_->loss(HostTensor::of({1, 5}, text), HostTensor::of({1, 5}, targets), second_, 0.1f);
    return backend_->download(value).values<float>()[0];
  };
  const float learnt = loss({3, 5, 7, 9, 0}, {-1, -1, 7, 9, -1});
  EXPECT_EQ(learnt, loss({3, 5, 7, 9, 11}, {-1, -1, 7, 9, -1}));
  EXPECT_NE(learnt, loss({3, 5, 7, 9, 0}, {-1, 5, 7, 9, -1}));
}

TEST_F(DecodingCaptions, PositionsEnd) {
  CaptionDecoder::Written written;
  decoder_->extend(ids({2, 4}, {1, 2, 3, 4, 1, 2, 3, 4}), written, image_);
  for (int i = 0; i < 4; ++i) decoder_->extend(ids({2, 1}, {5, 6}), written, image_);
  test::expect_error(ErrorCode::internal, "9 positions, of 8", [&] {
    decoder_->extend(ids({2, 1}, {5, 6}), written, image_);
  });
}

TEST(CaptionDecoder, ParametersAreThoseOfBlip) {
  const auto backend = make_onednn_backend({});
  for (const bool tied : {true, false}) {
    ParameterStore parameters;
    parameters.initialise_missing(1);
    const CaptionDecoder decoder(*backend, Scope(parameters) / "text_decoder", small_decoder(tied));
    EXPECT_EQ(parameters.used().count("text_decoder.cls.predictions.decoder.weight"), tied ? 0u : 1u);
    EXPECT_EQ(parameters.used().at("text_decoder.bert.encoder.layer.1.crossattention.self.key.weight"),
              (Shape{16, 12}));
    EXPECT_TRUE(parameters.used().contains("text_decoder.bert.embeddings.LayerNorm.weight"));
    EXPECT_FALSE(parameters.used().contains("text_decoder.bert.embeddings.token_type_embeddings.weight"));
  }
}

}  // namespace
}  // namespace capdiff
