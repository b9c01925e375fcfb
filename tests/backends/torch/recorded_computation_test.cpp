#include "capdiff/backends/torch/recorded_computation.h"

#include <gtest/gtest.h>

#include <array>

#include "capdiff/captioners/captioner.h"
#include "tests/backends/torch/redone_work.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_model.h"

namespace capdiff::test {
namespace {

using torch_detail::RecordedComputation;

class RecordedComputationTest : public testing::Test {
 protected:
  Value of(const std::vector<float>& values) {
    return backend_->upload(HostTensor::of({static_cast<std::int64_t>(values.size())}, values));
  }
  std::vector<float> floats(const Value& value) {
    const HostTensor host = backend_->download(value);
    return {host.values<float>().begin(), host.values<float>().end()};
  }

  std::unique_ptr<TorchBackend> backend_ = make_torch_backend({});
  int recordings_ = 0;
  RecordedComputation sum_{[this](std::span<const Value> inputs) { return backend_->add(inputs[0], inputs[1]); },
                           [this](const auto& work) {
                             ++recordings_;
                             return std::make_unique<RedoneWork>(work);
                           }};
};

TEST_F(RecordedComputationTest, ReplaysReadTheInputsOfTheirCall) {
  const Value shared = of({10, 20});
  const Value first = sum_(std::array{of({1, 2}), shared});
  const Value second = sum_(std::array{of({3, 4}), shared});
  const Value third = sum_(std::array{of({3, 4}), of({0, 1})});
  EXPECT_EQ(recordings_, 1);
  // Results stay as they are when the recording is replayed.
  EXPECT_EQ(floats(first), (std::vector<float>{11, 22}));
  EXPECT_EQ(floats(second), (std::vector<float>{13, 24}));
  EXPECT_EQ(floats(third), (std::vector<float>{3, 5}));
}

TEST_F(RecordedComputationTest, AResultMayBeTheNextInput) {
  Value x = of({1, 1});
  const Value one = of({1, 2});
  for (int i = 0; i < 3; ++i) x = sum_(std::array{x, one});
  EXPECT_EQ(floats(x), (std::vector<float>{4, 7}));
}

TEST_F(RecordedComputationTest, EveryShapeIsRecordedOnceWhileItIsAmongTheLastFour) {
  const auto call = [&](std::size_t n) {
    const std::vector<float> ones(n, 1.0f);
    EXPECT_EQ(floats(sum_(std::array{of(ones), of(ones)})), std::vector<float>(n, 2.0f));
  };
  for (const std::size_t n : {1, 2, 3, 4, 1, 4}) call(n);
  EXPECT_EQ(recordings_, 4);
  call(5);  // in place of 2
  call(1);
  EXPECT_EQ(recordings_, 5);
  call(2);
  EXPECT_EQ(recordings_, 6);
}

TEST_F(RecordedComputationTest, BackendsThatDoNotRecordHandTheComputationOn) {
  int calls = 0;
  const Computation direct = backend_->record([&](std::span<const Value> inputs) {
    ++calls;
    return inputs[0];
  });
  direct(std::array{of({1})});
  direct(std::array{of({1})});
  EXPECT_EQ(calls, 2);
}

/// Two batches of pictures, so that the second finds recordings of the first, and one of another size.
std::vector<Candidate> captions(TorchBackend& backend, const std::filesystem::path& folder,
                                const GenerationOptions& options) {
  std::vector<Image> images;
  for (int k = 0; k < 5; ++k) {
    Image image(30 + k, 30);
    for (std::size_t i = 0; i < image.rgb.size(); ++i)
      image.rgb[i] = static_cast<std::uint8_t>(i * static_cast<std::size_t>(5 + 2 * k) % 251);
    images.push_back(std::move(image));
  }
  const auto captioner = load_captioner(ModelFolder::open(folder), backend);
  std::vector<Candidate> candidates;
  for (const auto& [begin, end] : {std::pair(0, 2), {2, 4}, {4, 5}})
    for (const Caption& caption : captioner->caption(
             std::span(images).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)),
             options))
      candidates.insert(candidates.end(), caption.candidates.begin(), caption.candidates.end());
  return candidates;
}

class RecordedCaptions : public testing::TestWithParam<void (*)(const std::filesystem::path&)> {};

TEST_P(RecordedCaptions, AreThoseWithoutRecording) {
  const TemporaryFolder folder;
  GetParam()(folder.path());
  for (const GenerationOptions& options :
       {GenerationOptions{.steps = 5, .guidance = 1.0, .candidates = 2},
        GenerationOptions{.steps = 6, .guidance = 2.0, .guidance_low = 0.2, .guidance_high = 0.8, .refine = true}}) {
    const auto direct = make_torch_backend({}), recording = make_torch_backend({});
    int recordings = 0;
    recording->record_with([&](const auto& work) {
      ++recordings;
      return std::make_unique<RedoneWork>(work);
    });
    const auto expected = captions(*direct, folder.path(), options), got = captions(*recording, folder.path(), options);
    EXPECT_EQ(recordings, options.refine ? 4 : 2);  // two sizes of batches, with and without guidance
    ASSERT_EQ(got.size(), expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(got[i].text, expected[i].text);
      EXPECT_EQ(got[i].score, expected[i].score);
    }
  }
}

TEST_P(RecordedCaptions, OfInferenceInBf16AreCloseToF32) {
  const TemporaryFolder folder;
  GetParam()(folder.path());
  const auto exact = make_torch_backend({}), rounded = make_torch_backend({.compute = DType::bf16});
  rounded->infer_only();
  // Random weights blow rounding up from step to step.
  const GenerationOptions options{.steps = 1, .guidance = 0.0, .candidates = 2};
  const auto expected = captions(*exact, folder.path(), options), got = captions(*rounded, folder.path(), options);
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i].score, expected[i].score, 0.1);
}

INSTANTIATE_TEST_SUITE_P(Methods, RecordedCaptions, testing::Values(write_tiny_model, write_tiny_prefix_model),
                         [](const auto& method) { return method.index == 0 ? "Ladic" : "PrefixDiffusion"; });

}  // namespace
}  // namespace capdiff::test
