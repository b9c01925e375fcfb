#include "capdiff/metrics/meteor_synonyms.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "capdiff/metrics/meteor_lexicon.h"
#include "tests/metrics/meteor_data.h"
#include "tests/support/expect_error.h"

namespace capdiff {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(MeteorSynonyms, OfMeteorFiles) {
  const test::MeteorData data;
  const auto resources = data.resources();
  const MeteorSynonyms& synonyms = resources->synonyms();
  EXPECT_THAT(synonyms.synsets("big"), ElementsAre(10, 11));
  EXPECT_THAT(synonyms.synsets("couch"), ElementsAre(40, 41));
  EXPECT_THAT(synonyms.synsets("otter"), IsEmpty());
  EXPECT_THAT(synonyms.base_synsets("went"), ElementsAre(51));
  EXPECT_THAT(synonyms.base_synsets("men"), ElementsAre(30));
  EXPECT_THAT(synonyms.base_synsets("dogs"), ElementsAre(20, 21));
  EXPECT_THAT(synonyms.base_synsets("walking"), ElementsAre(50));
  EXPECT_THAT(synonyms.base_synsets("walker"), ElementsAre(50));
  EXPECT_THAT(synonyms.base_synsets("huger"), ElementsAre(12));
  EXPECT_THAT(synonyms.base_synsets("big"), IsEmpty());
  // Words in -ss, and of two letters, stand for themselves.
  EXPECT_THAT(synonyms.base_synsets("grass"), ElementsAre(60));
  EXPECT_THAT(synonyms.base_synsets("ox"), ElementsAre(70));
  EXPECT_THAT(synonyms.base_synsets("éx"), IsEmpty());
  EXPECT_THAT(synonyms.all_synsets("dogs"), ElementsAre(20, 21));
}

TEST(MeteorSynonyms, TheFirstRuleThatMakesAWordWins) {
  const test::TemporaryFolder folder;
  const auto synsets = folder.write("synsets", "bas\n1\nbase\n2\nlas\n3\nlase\n4\nbus\n5\n");
  const auto exceptions = folder.write("exceptions", "bus\nbases\nlas\nlased\nlase\nlased\n");
  const auto synonyms = MeteorSynonyms::from_meteor_files(synsets, exceptions);
  EXPECT_THAT(synonyms.base_synsets("lases"), ElementsAre(4));
  EXPECT_THAT(synonyms.base_synsets("basest"), ElementsAre(1));
  // The exceptions rule out the suffix rules, and may name several base forms.
  EXPECT_THAT(synonyms.base_synsets("bases"), ElementsAre(5));
  EXPECT_THAT(synonyms.base_synsets("lased"), ElementsAre(3, 4));
}

TEST(MeteorSynonyms, WrongFilesAreNamed) {
  const test::TemporaryFolder folder;
  const auto good = folder.write("good", "a\n1 2\n");
  const auto number = folder.write("number", "a\n1 2\nb\n3 x\n");
  const auto cut = folder.write("cut", "a\n1 2\nb\n");
  const auto large = folder.write("large", "a\n4294967296\n");
  test::expect_error(ErrorCode::invalid_input, "number: line 4",
                     [&] { MeteorSynonyms::from_meteor_files(number, good); });
  test::expect_error(ErrorCode::invalid_input, "large: line 2",
                     [&] { MeteorSynonyms::from_meteor_files(large, good); });
  test::expect_error(ErrorCode::invalid_input, "cut ends", [&] { MeteorSynonyms::from_meteor_files(cut, good); });
  test::expect_error(ErrorCode::invalid_input, "cut ends", [&] { MeteorSynonyms::from_meteor_files(good, cut); });
  test::expect_error(ErrorCode::not_found, "nowhere",
                     [&] { MeteorSynonyms::from_meteor_files(folder.path() / "nowhere", good); });
}

/// WordNet's files with entries that are ours.
void write_wordnet(const test::TemporaryFolder& folder) {
  folder.write("index.noun", "  1 A licence\nwalk n 2 1 @ 2 1 00000010 00000020  \nmouse n 1 3 @ ~ + 1 0 00000030  \n");
  folder.write("index.verb", "walk v 1 0 1 1 00000010  \n");
  folder.write("index.adj", "quick a 1 0 1 0 00000040  \n");
  folder.write("index.adv", "quick r 1 0 1 0 00000040  \n");
  folder.write("noun.exc", "mice mouse\n");
  for (const char* file : {"verb.exc", "adj.exc", "adv.exc"}) folder.write(file, "");
}

TEST(MeteorSynonyms, OfWordNet) {
  const test::TemporaryFolder folder;
  write_wordnet(folder);
  const auto synonyms = MeteorSynonyms::from_wordnet(folder.path());
  EXPECT_THAT(synonyms.synsets("walk"), ElementsAre(10, 20, 100000010));
  EXPECT_THAT(synonyms.synsets("quick"), ElementsAre(200000040, 300000040));
  EXPECT_THAT(synonyms.base_synsets("mice"), ElementsAre(30));
  EXPECT_THAT(synonyms.base_synsets("walked"), ElementsAre(10, 20, 100000010));
}

TEST(MeteorSynonyms, WrongWordNetFilesAreNamed) {
  const test::TemporaryFolder folder;
  for (const char* entry : {"walk v 2 0 1 1 00000010\n", "walk v 0 0 1 1 00000010\n", "walk v x 0 1 1 00000010\n",
                            "walk v 1 0 1 1 100000000\n", "walk v 1 0 1 1\n", "walk\n"}) {
    write_wordnet(folder);
    folder.write("index.verb", "  licence\n" + std::string(entry));
    test::expect_error(ErrorCode::invalid_input, "index.verb: line 2",
                       [&] { MeteorSynonyms::from_wordnet(folder.path()); });
  }
  write_wordnet(folder);
  folder.write("adj.exc", "better\n");
  test::expect_error(ErrorCode::invalid_input, "adj.exc: line 1", [&] { MeteorSynonyms::from_wordnet(folder.path()); });
  std::filesystem::remove(folder.path() / "index.adv");
  test::expect_error(ErrorCode::not_found, "index.adv", [&] {
    folder.write("adj.exc", "");
    MeteorSynonyms::from_wordnet(folder.path());
  });
}

TEST(MeteorLexicon, KnowsWhatWordsHaveInCommon) {
  const test::MeteorData data;
  const auto resources = data.resources();
  MeteorLexicon lexicon(*resources);
  const auto words = lexicon[Tokens{"walks", "walked", "walks", "strolled", "sofa", "the"}];
  EXPECT_EQ(words[0], words[2]);
  EXPECT_EQ(words[0]->stem, words[1]->stem);
  EXPECT_NE(words[0]->word, words[1]->word);
  EXPECT_NE(words[0]->stem, words[3]->stem);
  EXPECT_TRUE(words[0]->is_synonym_of(*words[3]));
  EXPECT_FALSE(words[0]->is_synonym_of(*words[4]));
  EXPECT_FALSE(words[4]->is_function_word);
  EXPECT_TRUE(words[5]->is_function_word);
}

TEST(MeteorResources, NameWhatIsMissing) {
  const test::MeteorData data;
  EXPECT_EQ(data.resources()->name(), "meteor-data");
  test::expect_error(ErrorCode::not_found, "nowhere", [] { MeteorResources::from_folder("/nowhere"); });
  for (const char* file : {"function/english.words", "nonbreaking/english.prefixes", "synonym/english.synsets",
                           "synonym/english.exceptions"}) {
    const test::MeteorData incomplete;
    std::filesystem::remove(incomplete.path() / file);
    test::expect_error(ErrorCode::not_found, file, [&] { incomplete.resources(); });
  }
}

TEST(MeteorResources, OfDebian) {
  if (!std::filesystem::exists("/usr/share/wordnet/index.noun")) GTEST_SKIP() << "wordnet-base is not installed";
  const auto resources = MeteorResources::from_debian();
  EXPECT_EQ(resources->name(), "wordnet");
  EXPECT_TRUE(resources->is_function_word("the"));
  EXPECT_TRUE(resources->paraphrases().empty());
  MeteorLexicon lexicon(*resources);
  const auto words = lexicon[Tokens{"couches", "sofa", "bicycle"}];
  EXPECT_TRUE(words[0]->is_synonym_of(*words[1]));
  EXPECT_FALSE(words[0]->is_synonym_of(*words[2]));
  EXPECT_EQ(resources->normalizer().normalize("Dr. No. 5 sat.", MeteorPunctuation::keep), "Dr. No. 5 sat .");
}

}  // namespace
}  // namespace capdiff
