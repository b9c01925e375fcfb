#include "capdiff/serving/answers.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "capdiff/serving/allowance.h"

namespace capdiff::test {
namespace {

Candidate candidate(const std::string& text, std::vector<TracedPiece> pieces) {
  return {.text = text, .score = -0.5, .seed = 3, .pieces = std::move(pieces)};
}

std::string words(const Candidate& of) {
  std::string text;
  for (const CaptionWord& word : words_of(of)) text += fmt::format("{}:{} ", word.text, word.confidence);
  return text;
}

TEST(Answers, HaveWordsOfPieces) {
  EXPECT_EQ(words(candidate("a swordfish.", {{"[CLS]", 1.0},
                                             {"a", 0.9},
                                             {"a", 0.8},
                                             {"sword", 0.7},
                                             {"##fish", 0.6},
                                             {".", 0.5},
                                             {"[SEP]", 1.0},
                                             {"[PAD]", 1.0}})),
            "a:0.9 swordfish:0.6 .:0.5 ");
  EXPECT_EQ(words(candidate("A Dog", {{"a", 0.9}, {"dog", 0.8}})), "a:0.9 dog:0.8 ");
  EXPECT_EQ(words(candidate("a cat", {{"a", 0.9}, {"dog", 0.8}})), "");
  EXPECT_EQ(words(candidate("a cat", {})), "");
}

TEST(Answers, TellWhatWasDrawn) {
  const Caption caption{
      .text = "two", .candidates = {candidate("one", {}), candidate("two", {{"two", 0.5}})}, .trace = {}};
  const auto json = caption_json(caption, {.steps = 7, .guidance = 2.0, .seed = 3}, 0.25);
  EXPECT_EQ(
      json.dump(),
      R"({"caption":"two","candidates":[{"text":"one","score":-0.5,"seed":3},{"text":"two","score":-0.5,"seed":3,"words":[{"text":"two","confidence":0.5}]}],)"
      R"("steps":7,"guidance":2.0,"seed":3,"seconds":0.25,"words":[{"text":"two","confidence":0.5}]})");
  EXPECT_FALSE(caption_json(caption, {.left_to_right = LeftToRight()}, 0.25).contains("steps"));
}

TEST(Answers, AreChats) {
  const Caption caption{.text = "two",
                        .candidates = {candidate("one of them", {}),
                                       candidate("two", {{"[CLS]", 1.0}, {"tw", 0.9}, {"##o", 0.8}, {"[SEP]", 1.0}})},
                        .trace = {}};
  const nlohmann::ordered_json usage{{"prompt_tokens", 0}, {"completion_tokens", 5}, {"total_tokens", 5}};
  const auto json = chat_json(caption, "req-1", 5);
  EXPECT_EQ(json["usage"], usage);
  EXPECT_EQ(json["choices"].size(), 2u);
  EXPECT_EQ(json["choices"][0]["message"]["content"], "two");
  EXPECT_EQ(json["choices"][1]["message"]["content"], "one of them");
  EXPECT_EQ(json["choices"][0]["finish_reason"], "stop");
  for (const bool told : {false, true}) {
    const auto chunks = chat_chunks(caption, "req-1", 5, told);
    ASSERT_EQ(chunks.size(), told ? 5u : 4u);
    for (std::size_t i = 0; i < 2; ++i) {
      const auto &said = chunks[2 * i]["choices"][0], &done = chunks[2 * i + 1]["choices"][0];
      EXPECT_EQ(said["index"], i);
      EXPECT_EQ(said["delta"]["content"], i == 0 ? "two" : "one of them");
      EXPECT_TRUE(said["finish_reason"].is_null());
      EXPECT_EQ(done["index"], i);
      EXPECT_EQ(done["finish_reason"], "stop");
      EXPECT_EQ(chunks[i].contains("usage"), told);
      if (told) EXPECT_TRUE(chunks[i]["usage"].is_null());
    }
    if (!told) continue;
    EXPECT_EQ(chunks[4]["choices"].size(), 0u);
    EXPECT_EQ(chunks[4]["usage"], usage);
  }
}

TEST(Allowances, AreGivenBack) {
  Allowance allowance(3);
  Allowance::Ticket two = allowance.take(2);
  ASSERT_TRUE(two);
  EXPECT_FALSE(allowance.take(2));
  EXPECT_FALSE(allowance.take(static_cast<std::size_t>(-1)));
  const Allowance::Ticket one = allowance.take(1);
  EXPECT_TRUE(allowance.exhausted());
  two.reset();
  EXPECT_EQ(allowance.taken(), 1u);
  EXPECT_FALSE(allowance.exhausted());
}

}  // namespace
}  // namespace capdiff::test
