#include "capdiff/serving/batcher.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "tests/support/expect_error.h"

namespace capdiff::test {
namespace {

using namespace std::chrono_literals;

/// Captions a picture by its width. Each run waits until it is let go, and is remembered.
class SlowCaptioner final : public Captioner {
 public:
  Caption fill(const Image& image, const CaptionTemplate&, const GenerationOptions& options) override {
    return std::move(draw({&image, 1}, options).front());
  }
  const GenerationOptions& defaults() const override { return defaults_; }
  std::int64_t max_words() const override { return 8; }

  /// How many pictures each run so far had.
  std::vector<std::size_t> runs() const {
    const std::lock_guard lock(mutex_);
    return runs_;
  }
  std::atomic<bool> held = false;
  std::atomic<int> bad_width = -1;  ///< of pictures that fail

 protected:
  std::vector<Caption> draw(std::span<const Image> images, const GenerationOptions& options) override {
    {
      const std::lock_guard lock(mutex_);
      runs_.push_back(images.size());
    }
    do {
      std::this_thread::sleep_for(1ms);
      if (options.watch) options.watch({0, 1, [] { return TraceStep(); }});
    } while (held);
    std::vector<Caption> captions;
    for (const Image& image : images) {
      if (image.width == bad_width) fail(ErrorCode::internal, "a bad picture");
      captions.push_back({});
      captions.back().candidates.push_back({std::to_string(image.width), 0.0, options.seed});
    }
    return captions;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::size_t> runs_;
  GenerationOptions defaults_;
};

class Batching : public testing::Test {
 protected:
  using Answer = std::future<std::string>;

  /// A job for a picture of that width; its answer is the caption, or an error's text after "failed: ".
  std::pair<CaptionJob, Answer> job(int width, const GenerationOptions& options = {}) {
    auto answer = std::make_shared<std::promise<std::string>>();
    CaptionJob job{.image = Image(width, 1),
                   .options = options,
                   .sentence = {},
                   .place = places_.take(1),
                   .abandoned = [] { return false; },
                   .done = [answer](const Caption& caption) { answer->set_value(caption.text); },
                   .failed =
                       [answer](std::exception_ptr error) {
                         try {
                           std::rethrow_exception(error);
                         } catch (const std::exception& told) {
                           answer->set_value(std::string("failed: ") + told.what());
                         }
                       }};
    return {std::move(job), answer->get_future()};
  }

  Answer submit(Batcher& batcher, int width, const GenerationOptions& options = {}) {
    auto [work, answer] = job(width, options);
    batcher.submit(std::move(work));
    return std::move(answer);
  }

  /// Occupies the computing thread until `held` is lifted.
  Answer hold(Batcher& batcher) {
    captioner_.held = true;
    Answer answer = submit(batcher, 1, {.seed = 99});
    while (captioner_.runs().empty()) std::this_thread::sleep_for(1ms);
    return answer;
  }

  SlowCaptioner captioner_;
  Allowance places_{100};
  std::vector<std::size_t> reported_;
};

TEST_F(Batching, DrawsTogetherWhatIsDrawnAlike) {
  Batcher batcher(captioner_, {.max_rows = 4, .max_wait = 0ms}, [](const BatchRecord&) {});
  std::vector<Answer> answers;
  answers.push_back(hold(batcher));
  for (int i = 0; i < 6; ++i) answers.push_back(submit(batcher, 10 + i, {.seed = static_cast<std::uint64_t>(i % 2)}));
  for (int i = 0; i < 3; ++i) answers.push_back(submit(batcher, 20 + i, {.seed = 0}));
  EXPECT_EQ(places_.taken(), 9u);
  captioner_.held = false;
  std::string texts;
  for (Answer& answer : answers) texts += answer.get() + " ";
  EXPECT_EQ(texts, "1 10 11 12 13 14 15 20 21 22 ");
  // Four with seed 0, the three with seed 1, the last two with seed 0.
  EXPECT_EQ(captioner_.runs(), (std::vector<std::size_t>{1, 4, 3, 2}));
  EXPECT_EQ(places_.taken(), 0u);
}

TEST_F(Batching, TellsLengthsAndStepsApart) {
  Batcher batcher(captioner_, {.max_wait = 0ms}, [](const BatchRecord&) {});
  std::vector<Answer> answers;
  answers.push_back(hold(batcher));
  answers.push_back(submit(batcher, 2, {.length = 3}));
  answers.push_back(submit(batcher, 3, {.length = 4}));
  answers.push_back(submit(batcher, 4, {.steps = 3}));
  captioner_.held = false;
  for (Answer& answer : answers) answer.get();
  EXPECT_EQ(captioner_.runs(), (std::vector<std::size_t>{1, 1, 1, 1}));
}

TEST_F(Batching, CountsCandidates) {
  Batcher batcher(captioner_, {.max_rows = 8, .max_wait = 0ms}, [](const BatchRecord&) {});
  std::vector<Answer> answers;
  answers.push_back(hold(batcher));
  for (int i = 0; i < 3; ++i) answers.push_back(submit(batcher, 2, {.candidates = 4}));
  for (int i = 0; i < 2; ++i) answers.push_back(submit(batcher, 2, {.candidates = 16}));
  captioner_.held = false;
  for (Answer& answer : answers) answer.get();
  EXPECT_EQ(captioner_.runs(), (std::vector<std::size_t>{1, 2, 1, 1, 1}));
}

TEST_F(Batching, WaitsForOthersToCome) {
  Batcher batcher(captioner_, {.max_rows = 2, .max_wait = 10'000ms}, [](const BatchRecord&) {});
  Answer first = submit(batcher, 2);
  std::this_thread::sleep_for(20ms);
  EXPECT_TRUE(captioner_.runs().empty());
  Answer second = submit(batcher, 3);
  EXPECT_EQ(first.get() + second.get(), "23");
  EXPECT_EQ(captioner_.runs(), (std::vector<std::size_t>{2}));
}

TEST_F(Batching, ComputesWatchedAndFilledOnesAlone) {
  Batcher batcher(captioner_, {.max_wait = 0ms}, [](const BatchRecord&) {});
  std::vector<Answer> answers;
  answers.push_back(hold(batcher));
  std::atomic<int> seen = 0;
  for (int i = 0; i < 2; ++i) {
    GenerationOptions watched;
    watched.watch = [&seen](const WatchedCall&) { ++seen; };
    answers.push_back(submit(batcher, 2, watched));
    auto [filled, answer] = job(3);
    filled.sentence = parse_caption_template("a [MASK]");
    batcher.submit(std::move(filled));
    answers.push_back(std::move(answer));
  }
  captioner_.held = false;
  for (Answer& answer : answers) answer.get();
  EXPECT_EQ(captioner_.runs(), (std::vector<std::size_t>(5, 1)));
  EXPECT_EQ(seen, 2);
}

TEST_F(Batching, APicturesFailureIsNotTheOthers) {
  std::atomic<std::size_t> reported = 0;
  Batcher batcher(captioner_, {.max_wait = 0ms}, [&](const BatchRecord& batch) { reported += batch.pictures; });
  std::vector<Answer> answers;
  answers.push_back(hold(batcher));
  captioner_.bad_width = 3;
  for (const int width : {2, 3, 4}) answers.push_back(submit(batcher, width));
  captioner_.held = false;
  EXPECT_EQ(answers[0].get(), "1");
  EXPECT_EQ(answers[1].get(), "2");
  EXPECT_EQ(answers[2].get(), "failed: a bad picture");
  EXPECT_EQ(answers[3].get(), "4");
  EXPECT_EQ(reported, 3u);
}

TEST_F(Batching, DropsWhatIsAbandoned) {
  Batcher batcher(captioner_, {.max_wait = 0ms}, [](const BatchRecord&) {});
  Answer first = hold(batcher);
  auto [left, never] = job(2);
  left.abandoned = [] { return true; };
  batcher.submit(std::move(left));
  Answer last = submit(batcher, 3);
  captioner_.held = false;
  EXPECT_EQ(first.get() + last.get(), "13");
  EXPECT_THROW(never.get(), std::future_error);
  EXPECT_EQ(captioner_.runs(), (std::vector<std::size_t>{1, 1}));
}

TEST_F(Batching, GivesBackPlacesAndMemoryOfWhatIsAbandoned) {
  Batcher batcher(captioner_, {.max_wait = 0ms, .max_waiting_bytes = 40}, [](const BatchRecord&) {});
  Answer first = hold(batcher);
  std::atomic<bool> gone = false;
  const auto submit_leaving = [&] {
    auto [left, never] = job(10);
    left.abandoned = [&] { return gone.load(); };
    batcher.submit(std::move(left));
  };
  submit_leaving();
  EXPECT_EQ(places_.taken(), 1u);
  batcher.drop_abandoned();
  EXPECT_EQ(places_.taken(), 1u);
  gone = true;
  batcher.drop_abandoned();
  EXPECT_EQ(places_.taken(), 0u);
  // Nor does its memory keep others waiting, although the captioner is held.
  submit_leaving();
  Answer second = submit(batcher, 10);
  // Whoever waits for memory may leave, too.
  submit_leaving();
  EXPECT_EQ(places_.taken(), 1u);
  captioner_.held = false;
  EXPECT_EQ(first.get() + second.get(), "110");
}

TEST_F(Batching, DropsTheOneThatWaitsForOthers) {
  Batcher batcher(captioner_, {.max_rows = 2, .max_wait = 10'000ms}, [](const BatchRecord&) {});
  std::atomic<bool> gone = false;
  auto [left, never] = job(2, {.seed = 1});
  left.abandoned = [&] { return gone.load(); };
  batcher.submit(std::move(left));
  gone = true;
  batcher.drop_abandoned();
  EXPECT_THROW(never.get(), std::future_error);
  Answer second = submit(batcher, 3), third = submit(batcher, 4);
  EXPECT_EQ(second.get() + third.get(), "34");
}

TEST_F(Batching, EndsARunThatNobodyWaitsFor) {
  Batcher batcher(captioner_, {.max_wait = 0ms}, [](const BatchRecord&) {});
  std::atomic<bool> gone = false;
  auto [left, never] = job(2);
  left.abandoned = [&] { return gone.load(); };
  captioner_.held = true;
  batcher.submit(std::move(left));
  while (captioner_.runs().empty()) std::this_thread::sleep_for(1ms);
  gone = true;
  EXPECT_THROW(never.get(), std::future_error);  // although the captioner is held
}

TEST_F(Batching, HoldsOnlySoManyPixels) {
  Batcher batcher(captioner_, {.max_wait = 0ms, .max_waiting_bytes = 40}, [](const BatchRecord&) {});
  Answer first = hold(batcher);
  Answer second = submit(batcher, 10);
  std::atomic<bool> submitted = false;
  Answer third;
  std::thread late([&] {
    third = submit(batcher, 10);
    submitted = true;
  });
  std::this_thread::sleep_for(20ms);
  EXPECT_FALSE(submitted);
  captioner_.held = false;
  late.join();
  EXPECT_EQ(first.get() + second.get() + third.get(), "11010");
}

TEST_F(Batching, EndsWithWorkLeft) {
  auto batcher = std::make_unique<Batcher>(captioner_, BatcherOptions{.max_wait = 0ms}, [](const BatchRecord&) {});
  Answer running = hold(*batcher), waiting = submit(*batcher, 2);
  batcher.reset();
  EXPECT_THROW(running.get(), std::future_error);
  EXPECT_THROW(waiting.get(), std::future_error);
  EXPECT_EQ(places_.taken(), 0u);
}

}  // namespace
}  // namespace capdiff::test
