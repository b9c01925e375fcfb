#include <gtest/gtest.h>

#include <algorithm>

#include "capdiff/captioners/captioner.h"
#include "capdiff/image/decode.h"
#include "capdiff/models/cosines.h"
#include "capdiff/selection/clip_selector.h"
#include "capdiff/text/unicode.h"
#include "tests/support/expect_error.h"
#include "tests/support/own_clip.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_model.h"

namespace capdiff::test {
namespace {

/// Seven pictures that differ.
std::vector<Image> pictures() {
  std::vector<Image> images;
  for (int k = 0; k < 7; ++k) {
    Image image(40 + 3 * k, 33 + 2 * k);
    for (std::size_t i = 0; i < image.rgb.size(); ++i)
      image.rgb[i] = static_cast<std::uint8_t>((i * static_cast<std::size_t>(7 + 2 * k) + (i % 31) * 13) % 256);
    images.push_back(std::move(image));
  }
  return images;
}

/// A method, and what its tiny model is like.
struct Method {
  std::string name;
  void (*write)(const std::filesystem::path& folder);
  std::size_t positions;
  std::int64_t half_way;  ///< the first of ten noise levels with t ≤ T / 2
};

class DiffusionCaptioning : public testing::TestWithParam<Method> {
 protected:
  void SetUp() override { GetParam().write(folder_.path()); }

  std::vector<Caption> captions(const BackendOptions& options, std::span<const Image> images,
                                const GenerationOptions& generation = {.steps = 8, .seed = 3, .candidates = 2}) const {
    const auto backend = make_onednn_backend(options);
    return load_captioner(ModelFolder::open(folder_.path()), *backend)->caption(images, generation);
  }

  TemporaryFolder folder_;
};

/// Scores are means of log-probabilities: equal scores in double precision mean equal logits.
void expect_same(const Caption& a, const Caption& b, bool exactly) {
  ASSERT_EQ(a.candidates.size(), b.candidates.size());
  for (std::size_t k = 0; k < a.candidates.size(); ++k) {
    EXPECT_EQ(a.candidates[k].text, b.candidates[k].text);
    if (exactly)
      EXPECT_EQ(a.candidates[k].score, b.candidates[k].score);
    else
      EXPECT_NEAR(a.candidates[k].score, b.candidates[k].score, 1e-3);
  }
}

TEST_P(DiffusionCaptioning, DeterministicCaptionsDependNeitherOnTheBatchNorOnThreads) {
  const std::vector<Image> images = pictures();
  for (const DType compute : {DType::f32, DType::bf16}) {
    const auto together = captions({.compute = compute, .threads = 2, .deterministic = true}, images);
    for (const int threads : {1, 2}) {
      for (std::size_t i = 0; i < images.size(); ++i) {
        const auto alone =
            captions({.compute = compute, .threads = threads, .deterministic = true}, std::span(images).subspan(i, 1));
        expect_same(alone.front(), together[i], /*exactly=*/true);
      }
    }
  }
}

TEST_P(DiffusionCaptioning, BatchesGiveTheSameCaptions) {
  const std::vector<Image> images = pictures();
  const auto together = captions({}, images);
  for (std::size_t i = 0; i < images.size(); ++i)
    expect_same(captions({}, std::span(images).subspan(i, 1)).front(), together[i], /*exactly=*/false);
}

TEST_P(DiffusionCaptioning, NoiseDependsOnSeedAndPictureAndCandidate) {
  const std::vector<Image> images = pictures();
  const std::vector<Image> twice{images[0], images[0], images[1]};
  const auto drawn = captions({}, twice);
  expect_same(drawn[0], drawn[1], /*exactly=*/false);
  EXPECT_NE(drawn[0].candidates[0].score, drawn[0].candidates[1].score);
  EXPECT_NE(drawn[0].candidates[0].score, drawn[2].candidates[0].score);
  const auto reseeded = captions({}, std::span(twice).first(1), {.steps = 8, .seed = 4, .candidates = 2});
  EXPECT_NE(drawn[0].candidates[0].score, reseeded[0].candidates[0].score);
}

TEST_P(DiffusionCaptioning, GuidanceChangesTheOutcomeAndZeroLeavesTheOtherBranchOut) {
  const std::vector<Image> images = pictures();
  const auto with = captions({}, std::span(images).first(1), {.steps = 4, .guidance = 1.0});
  const auto without = captions({}, std::span(images).first(1), {.steps = 4, .guidance = 0.0});
  EXPECT_NE(with[0].candidates[0].score, without[0].candidates[0].score);
}

TEST_P(DiffusionCaptioning, EverySamplerAndBackAndRefineDependOnThePictureAlone) {
  const std::vector<Image> images = pictures();
  for (GenerationOptions generation :
       {GenerationOptions{.steps = 6, .eta = 1.0}, GenerationOptions{.steps = 6, .sampler = SamplerKind::renoise},
        GenerationOptions{.steps = 6, .sampler = SamplerKind::dpm_solver},
        GenerationOptions{.steps = 6, .sampler = SamplerKind::ancestral},
        GenerationOptions{.steps = 6, .guidance_low = 0.2, .guidance_high = 0.8},
        GenerationOptions{.steps = 6, .refine = true}}) {
    generation.candidates = 2;
    const auto together = captions({.deterministic = true}, images, generation);
    const auto alone = captions({.deterministic = true}, std::span(images).subspan(3, 1), generation);
    expect_same(alone.front(), together[3], /*exactly=*/true);
    const auto plain = captions({.deterministic = true}, std::span(images).subspan(3, 1), {.steps = 6});
    EXPECT_NE(plain.front().candidates[0].score, alone.front().candidates[0].score);
  }
}

TEST_P(DiffusionCaptioning, MbrTakesTheCandidateThatAgreesBest) {
  const std::vector<Image> images = pictures();
  const auto drawn = captions({}, std::span(images).first(2), {.steps = 4, .candidates = 6, .select = Selection::mbr});
  for (const Caption& caption : drawn) {
    std::vector<std::string> texts;
    for (const Candidate& candidate : caption.candidates) texts.push_back(candidate.text);
    EXPECT_EQ(caption.text, texts[minimum_bayes_risk(texts, Utility::bleu).chosen]);
  }
}

TEST_P(DiffusionCaptioning, CandidatesStandInTheOrderOfDrawingWhateverChooses) {
  const std::vector<Image> images = pictures();
  const auto first = captions({}, std::span(images).first(2), {.steps = 4, .candidates = 6});
  const auto mbr = captions({}, std::span(images).first(2), {.steps = 4, .candidates = 6, .select = Selection::mbr});
  for (std::size_t i = 0; i < 2; ++i) {
    expect_same(first[i], mbr[i], /*exactly=*/false);
    EXPECT_EQ(first[i].text, first[i].candidates.front().text);
    EXPECT_FALSE(first[i].candidates.front().relevance);
    const std::vector<Candidate> ranked = most_relevant_first(mbr[i]);
    EXPECT_EQ(ranked.front().text, mbr[i].text);
    EXPECT_TRUE(std::ranges::is_sorted(ranked, std::greater<>(), rank_of));
  }
}

TEST_P(DiffusionCaptioning, ClipTakesTheCandidateThatItFindsNearestToThePicture) {
  const std::vector<Image> images = pictures();
  write_own_clip(folder_.path() / "clip");
  const auto backend = make_onednn_backend({});
  const auto captioner = load_captioner(ModelFolder::open(folder_.path()), *backend);
  const GenerationOptions generation{.steps = 4, .candidates = 6, .select = Selection::clip};
  expect_error(ErrorCode::usage, "--clip DIR", [&] { captioner->caption(images, generation); });
  const auto clip = std::make_shared<ClipEncoder>(ModelFolder::open(folder_.path() / "clip"), *backend);
  captioner->select_with(std::make_shared<ClipSelector>(clip));
  const std::vector<Caption> drawn = captioner->caption(std::span(images).first(3), generation);
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    double best = -2.0;
    std::string text;
    for (const Candidate& candidate : drawn[i].candidates) {
      const double cosine =
          cosines(clip->images(std::span(images).subspan(i, 1)), clip->texts(std::vector{candidate.text}).features)
              .values<float>()[0];
      EXPECT_NEAR(candidate.relevance.value(), cosine, 1e-5);
      if (*candidate.relevance > best) {
        best = *candidate.relevance;
        text = candidate.text;
      }
    }
    EXPECT_EQ(drawn[i].text, text);
  }
}

TEST_P(DiffusionCaptioning, CaptionsHaveExactlyTheLengthAskedFor) {
  const std::vector<Image> images = pictures();
  for (const std::int64_t length : {1, 4, 10}) {
    for (const Caption& caption : captions({}, images, {.steps = 3, .length = length})) {
      const std::vector<std::string> words = split_white_space(caption.text);
      EXPECT_EQ(static_cast<std::int64_t>(words.size()), length) << caption.text;
      EXPECT_EQ(std::ranges::adjacent_find(words), words.end()) << caption.text;
    }
  }
  for (const std::int64_t length : {0, 11})
    expect_error(ErrorCode::usage, "between 1 and 10 words",
                 [&] { captions({}, images, {.steps = 3, .length = length}); });
}

TEST_P(DiffusionCaptioning, FillsBlanksAndLeavesTheWordsGiven) {
  const auto backend = make_onednn_backend({});
  const auto captioner = load_captioner(ModelFolder::open(folder_.path()), *backend);
  const Image image = pictures().front();
  const auto fill = [&](const std::string& sentence, const GenerationOptions& generation) {
    return captioner->fill(image, parse_caption_template(sentence), generation);
  };
  const std::string once = fill("A Man [MASK] a horse, on [UNK] beach!", {.steps = 3}).text;
  EXPECT_TRUE(once.starts_with("A Man ") && once.ends_with(" beach!")) << once;
  EXPECT_NE(once.find(" a horse, on "), std::string::npos) << once;
  EXPECT_EQ(split_white_space(once).size(), 8u) << once;

  const Caption several = fill("two [MASK:1-3] and [MASK:2]", {.steps = 3, .candidates = 2});
  ASSERT_EQ(several.candidates.size(), 6u);
  const auto best = std::ranges::max_element(several.candidates, {}, &Candidate::score);
  EXPECT_EQ(several.text, best->text);
  for (std::size_t k = 0; k < 6; ++k)
    EXPECT_EQ(split_white_space(several.candidates[k].text).size(), 5 + k / 2) << several.candidates[k].text;

  expect_error(ErrorCode::usage, "12 tokens or more", [&] { fill("[MASK:12]", {.steps = 3}); });
}

TEST_P(DiffusionCaptioning, TracesTellEveryCall) {
  const std::vector<Image> images = pictures();
  const GenerationOptions generation{
      .steps = 10, .refine = true, .trace = true, .reference = "a man riding a horse on the beach"};
  const CaptionTrace trace = captions({}, std::span(images).first(1), generation).front().trace;
  ASSERT_EQ(trace.steps.size(), 16u);  // 6 down to half of T, then all 10
  for (std::size_t call = 0; call < trace.steps.size(); ++call) {
    const TraceStep& step = trace.steps[call];
    EXPECT_EQ(step.call, call);
    ASSERT_TRUE(step.error.has_value());
    EXPECT_GT(*step.error, 0.0);
    EXPECT_EQ(step.pieces.size(), GetParam().positions);
    EXPECT_EQ(std::ranges::count(step.pieces, true, &TracedPiece::taken_back),
              call == 5 ? static_cast<std::ptrdiff_t>(GetParam().positions / 2) : 0);
  }
  EXPECT_EQ(trace.steps[5].t, GetParam().half_way);
  EXPECT_EQ(trace.steps[6].t, 999);
}

TEST_P(DiffusionCaptioning, WatchersSeeWhatTracesTell) {
  const std::vector<Image> images = pictures();
  GenerationOptions generation{.steps = 10, .refine = true, .candidates = 2, .trace = true};
  std::vector<TraceStep> seen;
  generation.watch = [&](const WatchedCall& call) {
    EXPECT_EQ(call.call, seen.size());
    EXPECT_EQ(call.calls, 16u);
    seen.push_back(call.step());
  };
  const CaptionTrace trace = captions({.deterministic = true}, std::span(images).first(2), generation).front().trace;
  ASSERT_EQ(seen.size(), trace.steps.size());
  for (std::size_t call = 0; call < seen.size(); ++call) {
    EXPECT_EQ(seen[call].call, trace.steps[call].call);
    EXPECT_EQ(seen[call].t, trace.steps[call].t);
    EXPECT_EQ(seen[call].text, trace.steps[call].text);
    EXPECT_EQ(std::ranges::count(seen[call].pieces, true, &TracedPiece::taken_back),
              std::ranges::count(trace.steps[call].pieces, true, &TracedPiece::taken_back));
  }
}

TEST_P(DiffusionCaptioning, WatchersCanEndARun) {
  const std::vector<Image> images = pictures();
  std::size_t calls = 0;
  GenerationOptions generation{.steps = 10};
  generation.watch = [&](const WatchedCall&) {
    if (++calls == 3) fail(ErrorCode::io, "nobody is there any more");
  };
  expect_error(ErrorCode::io, "nobody", [&] { captions({}, images, generation); });
  EXPECT_EQ(calls, 3u);
}

INSTANTIATE_TEST_SUITE_P(Methods, DiffusionCaptioning,
                         testing::Values(Method{"Ladic", write_tiny_model, 12, 499},
                                         Method{"PrefixDiffusion", write_tiny_prefix_model, 10, 444}),
                         [](const auto& method) { return method.param.name; });

}  // namespace
}  // namespace capdiff::test
