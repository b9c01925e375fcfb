#include "capdiff/captioners/token_search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "tests/support/expect_error.h"

namespace capdiff::test {
namespace {

using Tokens = std::vector<std::int64_t>;
constexpr std::int64_t kEnd = 0, kVocabulary = 7;

/// A language model that is a function of its rows: logits by the whole text and the picture.
class ToyWriter final : public TokenWriter {
 public:
  explicit ToyWriter(std::size_t pictures, std::uint64_t first_picture = 0)
      : pictures_(pictures), first_picture_(first_picture) {}

  static std::vector<float> logits(const Tokens& text, std::uint64_t picture) {
    std::uint64_t number = picture + 1;
    for (const std::int64_t token : text) number = number * 31 + static_cast<std::uint64_t>(token);
    RandomStream random(5, 0, number);
    std::vector<float> row;
    for (std::int64_t id = 0; id < kVocabulary; ++id) row.push_back(static_cast<float>(1.5 * random.normal()));
    return row;
  }

  NextTokens begin(std::span<const std::int64_t> prompt) override {
    rows_.assign(pictures_, Tokens(prompt.begin(), prompt.end()));
    return said();
  }

  NextTokens next(std::span<const std::int64_t> parents, std::span<const std::int64_t> tokens) override {
    std::vector<Tokens> rows;
    for (std::size_t r = 0; r < parents.size(); ++r) {
      rows.push_back(rows_.at(static_cast<std::size_t>(parents[r])));
      rows.back().push_back(tokens[r]);
    }
    rows_ = std::move(rows);
    return said();
  }

 private:
  NextTokens said() const {
    NextTokens next{HostTensor(DType::f32, {static_cast<std::int64_t>(rows_.size()), kVocabulary}), {}};
    auto out = next.logits.mutable_values<float>().begin();
    for (std::size_t r = 0; r < rows_.size(); ++r) {
      const std::vector<float> row = logits(rows_[r], first_picture_ + r * pictures_ / rows_.size());
      out = std::ranges::copy(row, out).out;
      double sum = 0.0;
      for (const float logit : row) sum += std::exp(static_cast<double>(logit));
      next.log_sums.push_back(std::log(sum));
    }
    return next;
  }

  std::size_t pictures_;
  std::uint64_t first_picture_;
  std::vector<Tokens> rows_;
};

double log_probability_of(const Tokens& text, std::int64_t token, std::uint64_t picture) {
  const std::vector<float> row = ToyWriter::logits(text, picture);
  double sum = 0.0;
  for (const float logit : row) sum += std::exp(static_cast<double>(logit));
  return static_cast<double>(row[static_cast<std::size_t>(token)]) - std::log(sum);
}

/// The best score of any text, by trying all of them.
double best_of_all(const Tokens& text, double sum, const TokenRules& rules, std::uint64_t picture) {
  const auto length = static_cast<std::int64_t>(text.size());
  if (length == rules.max_length) return sum / static_cast<double>(length);
  double best = -std::numeric_limits<double>::infinity();
  for (std::int64_t token = 0; token < kVocabulary; ++token) {
    const double next = sum + log_probability_of(text, token, picture);
    if (token == kEnd) {
      if (length >= rules.min_length) best = std::max(best, next / static_cast<double>(length));
      continue;
    }
    Tokens longer = text;
    longer.push_back(token);
    best = std::max(best, best_of_all(longer, next, rules, picture));
  }
  return best;
}

TEST(BeamSearch, WideBeamsFindTheBestOfAllTexts) {
  const TokenRules rules{.end = kEnd, .min_length = 3, .max_length = 5};
  const Tokens prompt{3, 4};
  ToyWriter writer(4);
  const auto texts = beam_search(writer, 4, prompt, rules, {.beams = 300});
  for (std::uint64_t picture = 0; picture < 4; ++picture)
    EXPECT_NEAR(texts[picture].score, best_of_all(prompt, 0.0, rules, picture), 1e-6) << picture;
}

TEST(BeamSearch, OneBeamIsGreedy) {
  const TokenRules rules{.end = kEnd, .max_length = 9};
  ToyWriter writer(6);
  const auto texts = beam_search(writer, 6, Tokens{3}, rules, {.beams = 1});
  for (std::uint64_t picture = 0; picture < 6; ++picture) {
    Tokens greedy{3};
    while (greedy.size() < 9) {
      const std::vector<float> row = ToyWriter::logits(greedy, picture);
      const std::int64_t token = std::ranges::max_element(row) - row.begin();
      if (token == kEnd) break;
      greedy.push_back(token);
    }
    EXPECT_EQ(texts[picture].tokens, greedy);
  }
}

TEST(BeamSearch, PicturesDoNotDependOnEachOther) {
  const TokenRules rules{.end = kEnd, .min_length = 2, .max_length = 12};
  ToyWriter together(5);
  const auto texts = beam_search(together, 5, Tokens{1}, rules, {.beams = 3});
  for (std::uint64_t picture = 0; picture < 5; ++picture) {
    ToyWriter alone(1, picture);
    const auto own = beam_search(alone, 1, Tokens{1}, rules, {.beams = 3});
    EXPECT_EQ(own.front().tokens, texts[picture].tokens);
    EXPECT_EQ(own.front().score, texts[picture].score);
  }
}

TEST(BeamSearch, KeepsToLengths) {
  for (const std::int64_t beams : {1, 3}) {
    ToyWriter writer(20);
    for (const auto& text :
         beam_search(writer, 20, Tokens{1}, {.end = kEnd, .min_length = 6, .max_length = 7}, {.beams = beams})) {
      EXPECT_GE(text.tokens.size(), 6u);
      EXPECT_LE(text.tokens.size(), 7u);
    }
  }
}

TEST(BeamSearch, AHighLengthPenaltyFavoursLongTexts) {
  const auto total = [](double penalty) {
    ToyWriter writer(20);
    std::size_t tokens = 0;
    for (const auto& text :
         beam_search(writer, 20, Tokens{1}, {.end = kEnd, .max_length = 12}, {.beams = 4, .length_penalty = penalty}))
      tokens += text.tokens.size();
    return tokens;
  };
  EXPECT_LT(total(0.0), total(3.0));
}

TEST(BeamSearch, FixedTextsHaveWordsOnlyAndNoneTwiceInARow) {
  std::vector<bool> words(kVocabulary, true);
  words[kEnd] = words[2] = false;
  const TokenRules rules{.end = kEnd, .min_length = 8, .max_length = 8, .words = &words};
  ToyWriter writer(20);
  for (const auto& text : beam_search(writer, 20, Tokens{1}, rules, {.beams = 3})) {
    ASSERT_EQ(text.tokens.size(), 8u);
    for (std::size_t i = 1; i < 8; ++i) {
      EXPECT_TRUE(words[static_cast<std::size_t>(text.tokens[i])]);
      EXPECT_NE(text.tokens[i], text.tokens[i - 1]);
    }
  }
}

TEST(BeamSearch, APromptWithoutRoomIsAnError) {
  ToyWriter writer(1);
  expect_error(ErrorCode::internal, "a prompt of 3 tokens", [&] {
    beam_search(writer, 1, Tokens{1, 2, 3}, {.end = kEnd, .max_length = 3}, {});
  });
}

TEST(TokenRules, ThePenaltyMakesWhatIsThereLessLikely) {
  const std::vector<float> logits{2.0f, -2.0f, 1.0f, 0.5f};
  const std::vector<float> ruled =
      ruled_logits(logits, Tokens{0, 1, 0}, {.end = 3, .min_length = 4, .repetition_penalty = 2.0});
  EXPECT_EQ(ruled, (std::vector<float>{1.0f, -4.0f, 1.0f, -std::numeric_limits<float>::infinity()}));
}

TEST(Nucleus, HoldsTheTokenThatCrosses) {
  const std::vector<float> logits{std::log(0.1f), std::log(0.5f), std::log(0.3f), std::log(0.1f)};
  const auto tokens = nucleus(logits, {.top_p = 0.6});
  ASSERT_EQ(tokens.size(), 2u);
  EXPECT_EQ(tokens[0].token, 1);
  EXPECT_EQ(tokens[1].token, 2);
  EXPECT_NEAR(tokens[0].probability, 0.625, 1e-6);
  EXPECT_EQ(nucleus(logits, {.top_p = 1.0}).size(), 4u);
  EXPECT_EQ(nucleus(logits, {.top_p = 0.0}).size(), 1u);
  // Colder: 0.25 / 0.36.
  EXPECT_NEAR(nucleus(logits, {.top_p = 1.0, .temperature = 0.5})[0].probability, 0.25 / 0.36, 1e-6);
}

TEST(Nucleus, SortsAsFarAsItReaches) {
  std::vector<float> logits(5000);
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = 1e-4f * static_cast<float>((i * 2477) % 5000);
  const auto tokens = nucleus(logits, {.top_p = 0.8});
  EXPECT_GT(tokens.size(), 3000u);
  EXPECT_TRUE(std::ranges::is_sorted(tokens, std::greater<>(), &TokenProbability::probability));
  double sum = 0.0;
  for (const TokenProbability& token : tokens) sum += token.probability;
  EXPECT_NEAR(sum, 1.0, 1e-9);
}

TEST(Sampling, DrawsWithTheirProbabilities) {
  const TokenRules rules{.end = kEnd, .max_length = 2};
  std::vector<RandomStream> random;
  constexpr std::size_t kDraws = 4000;
  for (std::size_t i = 0; i < kDraws; ++i) random.emplace_back(1, static_cast<std::uint32_t>(i), 9);
  ToyWriter writer(1);
  std::map<std::int64_t, std::size_t> counts;
  for (const auto& text : sample_texts(writer, 1, Tokens{3}, rules, {.top_p = 1.0}, random))
    ++counts[text.tokens.size() == 1 ? kEnd : text.tokens.back()];
  for (std::int64_t token = 0; token < kVocabulary; ++token) {
    const double expected = std::exp(log_probability_of({3}, token, 0));
    EXPECT_NEAR(static_cast<double>(counts[token]) / kDraws, expected, 0.03) << token;
  }
}

TEST(Sampling, TextsDependOnTheirOwnSequenceAndPictureOnly) {
  const TokenRules rules{.end = kEnd, .min_length = 3, .max_length = 12};
  const auto stream = [](std::uint32_t candidate) { return RandomStream(7, candidate, 1); };
  std::vector<RandomStream> random{stream(0), stream(1), stream(0), stream(1)};
  ToyWriter both(2);
  const auto texts = sample_texts(both, 2, Tokens{1}, rules, {}, random);
  std::vector<RandomStream> last{stream(1)};
  ToyWriter second(1, 1);
  const auto alone = sample_texts(second, 1, Tokens{1}, rules, {}, last);
  EXPECT_EQ(alone.front().tokens, texts[3].tokens);
  EXPECT_EQ(alone.front().score, texts[3].score);
  EXPECT_NE(texts[2].tokens, texts[3].tokens);
}

}  // namespace
}  // namespace capdiff::test
