#include "capdiff/text/detokenise.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"
#include "capdiff/formats/json_reader.h"
#include "tests/support/shared.h"

namespace capdiff {
namespace {

using Ids = std::vector<std::int64_t>;

const Vocabulary& tiny_vocabulary() {
  static const auto vocabulary = Vocabulary::parse(
      "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n.\na\nman\nriding\nhorse\nsword\n##fish\n'\ns\n,\n?\nit\n", "tiny");
  return vocabulary;
}

Ids ids_of(std::initializer_list<std::string_view> tokens) {
  Ids ids;
  for (const auto token : tokens) ids.push_back(tiny_vocabulary().find(token).value());
  return ids;
}

TEST(JoinPieces, GluesPiecesAndPunctuation) {
  EXPECT_EQ(join_pieces(tiny_vocabulary(), ids_of({"a", "sword", "##fish", ",", "it", "'", "s", "a", "man", "?", "."})),
            "a swordfish, it's a man?.");
  EXPECT_EQ(join_pieces(tiny_vocabulary(), ids_of({"##fish", "[SEP]"})), "##fish [SEP]");
  EXPECT_EQ(join_pieces(tiny_vocabulary(), {}), "");
  EXPECT_THROW(join_pieces(tiny_vocabulary(), Ids{1000}), Error);
  EXPECT_THROW(join_pieces(tiny_vocabulary(), Ids{-1}), Error);
}

TEST(ReleasedCaption, DropsRepetitionsAndFillers) {
  const auto caption = [](std::initializer_list<std::string_view> tokens) {
    return released_caption(tiny_vocabulary(), ids_of(tokens));
  };
  EXPECT_EQ(caption({".", "a", "man", "man", "riding", "a", "a", "horse", ".", ".", "."}), "a man riding a horse.");
  EXPECT_EQ(caption({".", "a", "man", ".", "riding", ".", "."}), "a man. riding.");
  EXPECT_EQ(caption({".", ".", "."}), ".");
  EXPECT_EQ(caption({"a", "sword", "##fish", "##fish"}), "a swordfish.");
  EXPECT_EQ(caption({}), ".");
}

TEST(PaperCaption, KeepsEverythingButTheFrame) {
  EXPECT_EQ(
      paper_caption(tiny_vocabulary(), ids_of({"[CLS]", "a", "man", "man", "[PAD]", "riding", "[UNK]", "[SEP]", "."})),
      "a man man riding [UNK].");
  EXPECT_EQ(paper_caption(tiny_vocabulary(), ids_of({"[CLS]", "[SEP]", "[PAD]"})), "");
}

TEST(UniqueConsecutiveColumns, ComparesWholeColumns) {
  EXPECT_EQ(unique_consecutive_columns({{1, 1, 2, 2, 2, 1}}), (std::vector<Ids>{{1, 2, 1}}));
  EXPECT_EQ(unique_consecutive_columns({{1, 1, 2, 2}, {3, 4, 5, 5}}), (std::vector<Ids>{{1, 1, 2}, {3, 4, 5}}));
  EXPECT_EQ(unique_consecutive_columns({}), std::vector<Ids>{});
  EXPECT_EQ(unique_consecutive_columns({{}, {}}), (std::vector<Ids>{{}, {}}));
  EXPECT_THROW(unique_consecutive_columns({{1}, {1, 2}}), Error);
}

TEST(Detokenise, EqualsTheReference) {
  CAPDIFF_SHARED_OR_SKIP(golden_file, "goldens/wordpiece/decode.json");
  CAPDIFF_SHARED_OR_SKIP(vocabulary_file, "data/text/bert-base-uncased-vocab.txt");
  const auto vocabulary = Vocabulary::load(vocabulary_file);
  const auto golden = read_json(golden_file);
  ASSERT_FALSE(golden.at("single").empty());
  for (const auto& expected : golden.at("single")) {
    const auto ids = expected.at("ids").get<Ids>();
    const auto unique = unique_consecutive_columns({ids}).front();
    EXPECT_EQ(unique, expected.at("unique_ids").get<Ids>());
    EXPECT_EQ(join_pieces(vocabulary, unique), expected.at("decoded").get<std::string>());
    EXPECT_EQ(released_caption(vocabulary, ids), expected.at("final").get<std::string>());
    const auto decoded = join_pieces(vocabulary, ids);
    EXPECT_EQ(decoded, expected.at("decoded_without_dedup").get<std::string>());
    EXPECT_EQ(tidy_released_caption(decoded), expected.at("final_without_dedup").get<std::string>());
  }
  for (const auto& expected : golden.at("batches")) {
    const auto unique = unique_consecutive_columns(expected.at("ids").get<std::vector<Ids>>());
    EXPECT_EQ(unique, expected.at("unique_ids").get<std::vector<Ids>>());
    for (std::size_t row = 0; row < unique.size(); ++row) {
      const auto decoded = join_pieces(vocabulary, unique[row]);
      EXPECT_EQ(decoded, expected.at("decoded").at(row).get<std::string>());
      EXPECT_EQ(tidy_released_caption(decoded), expected.at("final").at(row).get<std::string>());
    }
  }
  const Ids special{vocabulary.pad(), vocabulary.unk(), vocabulary.cls(), vocabulary.sep(), vocabulary.mask()};
  for (const auto& expected : golden.at("skip_special")) {
    EXPECT_EQ(join_pieces(vocabulary, without_tokens(expected.at("ids").get<Ids>(), special)),
              expected.at("decoded_skip_special").get<std::string>());
  }
}

TEST(Detokenise, EqualsTheReferenceOnASmallVocabulary) {
  CAPDIFF_SHARED_OR_SKIP(folder, "goldens/ladic_tiny");
  const auto vocabulary = Vocabulary::load(folder / "vocab.txt");
  const auto golden = read_json(folder / "golden.json");
  const auto ids_of_tokens = [&](const nlohmann::json& tokens) {
    Ids ids;
    for (const auto& token : tokens) ids.push_back(vocabulary.find(token.get<std::string>()).value());
    return ids;
  };
  ASSERT_FALSE(golden.at("postprocess").empty());
  for (const auto& expected : golden.at("postprocess")) {
    const auto ids = expected.at("ids").get<Ids>();
    EXPECT_EQ(released_caption(vocabulary, ids), expected.at("caption").get<std::string>());
    EXPECT_EQ(tidy_released_caption(join_pieces(vocabulary, ids)), expected.at("caption_no_unique").get<std::string>());
  }
  int released = 0, paper = 0;
  for (const auto& [name, run] : golden.items()) {
    if (!run.is_object() || !run.contains("tokens")) continue;
    for (std::size_t row = 0; row < run.at("tokens").size() && name != "postprocess_batch_of_two"; ++row) {
      const auto ids = ids_of_tokens(run.at("tokens").at(row));
      if (name.starts_with("paper.")) {
        EXPECT_EQ(paper_caption(vocabulary, ids), run.at("captions").at(row).get<std::string>()) << name;
        ++paper;
      } else {
        EXPECT_EQ(released_caption(vocabulary, ids), run.at("captions_per_row").at(row).get<std::string>()) << name;
        ++released;
      }
    }
  }
  EXPECT_GT(released, 0);
  EXPECT_GT(paper, 0);
}

TEST(Detokenise, KeepsOneOfPhrasesThatFollowThemselves) {
  for (const auto& [text, want] : std::vector<std::pair<std::string, std::string>>{
           {"a dog runs on the beach on the beach.", "a dog runs on the beach."},
           {"a street street.", "a street."},
           {"on on the beach on the beach", "on the beach"},
           {"on the beach on the beach on the beach.", "on the beach."},
           {"a man riding a bike riding a bike on a bike.", "a man riding a bike on a bike."},
           {"a dog. a dog", "a dog. a dog"},
           {"a dog and a dog", "a dog and a dog"},
           {" two  words ", "two words"},
           {"", ""},
       })
    EXPECT_EQ(without_stutter(text), want) << text;
}

TEST(Detokenise, TidiesPaperCaptionsForPeople) {
  EXPECT_EQ(tidy_paper_caption("a a man man riding  a a horse"), "a man riding a horse");
  EXPECT_EQ(tidy_paper_caption("##ing a dog"), "ing a dog");
  EXPECT_EQ(tidy_paper_caption("a dog and a dog"), "a dog and a dog");
  EXPECT_EQ(tidy_paper_caption(""), "");
}

}  // namespace
}  // namespace capdiff
