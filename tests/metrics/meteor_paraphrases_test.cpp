#include "capdiff/metrics/meteor_paraphrases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/metrics/meteor_data.h"
#include "tests/support/expect_error.h"

namespace capdiff {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// What a phrase may be replaced by, in the order of the table.
std::vector<std::string> paraphrases_of(const MeteorParaphrases& table, const std::vector<std::string>& phrase,
                                        const std::vector<std::vector<std::string>>& others) {
  const auto number = [&](const std::vector<std::string>& words) {
    std::vector<std::uint32_t> numbers;
    for (const std::string& word : words) numbers.push_back(table.word_number(word));
    for (const auto& found : table.occurrences(numbers))
      if (found.begin == 0 && found.words == words.size()) return found.phrase;
    ADD_FAILURE() << "the table does not have " << words.front();
    return 0U;
  };
  std::vector<std::pair<std::uint32_t, std::string>> found;
  for (const auto& pair : table.paraphrases(number(phrase))) {
    for (const auto& other : others)
      if (number(other) == pair.phrase) found.emplace_back(pair.order, other.front());
  }
  std::ranges::sort(found);
  std::vector<std::string> names;
  for (const auto& [order, name] : found) names.push_back(name);
  return names;
}

TEST(MeteorParaphrases, AreReadInTheirOrder) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "table.gz";
  test::write_gzip(path,
                   "0.5\nlots of\nplenty of\n"
                   "1.25E-4\nlots of\nmany\n"
                   "0.1\nmany\nlots  of\r\n"
                   "1\nlots\nheaps\n");
  const auto table = MeteorParaphrases::load(path);
  EXPECT_EQ(table.size(), 4U);
  const std::vector<std::vector<std::string>> all{{"many"}, {"plenty", "of"}, {"heaps"}, {"lots", "of"}};
  EXPECT_THAT(paraphrases_of(table, {"lots", "of"}, all), ElementsAre("plenty", "many"));
  EXPECT_THAT(paraphrases_of(table, {"many"}, all), ElementsAre("lots"));
  EXPECT_THAT(paraphrases_of(table, {"lots"}, all), ElementsAre("heaps"));
  EXPECT_THAT(paraphrases_of(table, {"heaps"}, all), IsEmpty());
  EXPECT_EQ(table.word_number("otter"), 0U);

  std::vector<std::uint32_t> sentence;
  for (const char* word : {"otter", "lots", "of", "many"}) sentence.push_back(table.word_number(word));
  std::vector<std::pair<std::uint32_t, std::uint32_t>> places;
  for (const auto& found : table.occurrences(sentence)) places.emplace_back(found.begin, found.words);
  EXPECT_THAT(places, ElementsAre(std::pair{1U, 1U}, std::pair{1U, 2U}, std::pair{3U, 1U}));
}

TEST(MeteorParaphrases, ManyPhrasesAreToldApart) {
  const test::TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "0\nleft " + std::to_string(i) + "\nright " + std::to_string(i) + "\n";
  const auto table = MeteorParaphrases::load(folder.write("table", text));
  EXPECT_EQ(table.size(), 5000U);
  for (int i = 0; i < 5000; i += 7) {
    const std::string word = std::to_string(i);
    EXPECT_THAT(paraphrases_of(table, {"left", word}, {{"right", word}}), ElementsAre("right"));
  }
}

TEST(MeteorParaphrases, AnEmptyTableHasNone) {
  const test::TemporaryFolder folder;
  EXPECT_TRUE(MeteorParaphrases().empty());
  EXPECT_TRUE(MeteorParaphrases::load(folder.write("empty", "")).empty());
}

TEST(MeteorParaphrases, WrongTablesAreNamed) {
  const test::TemporaryFolder folder;
  const auto refuse = [&](const std::string& text, const std::string& part) {
    const auto path = folder.write("table", text);
    test::expect_error(ErrorCode::invalid_input, part, [&] { MeteorParaphrases::load(path); });
  };
  refuse("0.5\na\nb\nc\nd\n", "line 4 is not the probability");
  refuse("0.5\na\nb\n0.5\na\n", "middle of a pair of phrases, after line 5");
  refuse("0.5\n", "middle of a pair");
  refuse("0.5\n \nb\n", "line 2 is not a phrase");
  refuse("0.5\na\n\n", "line 3 is not a phrase");
  std::string long_phrase;
  for (int i = 0; i < 256; ++i) long_phrase += "a ";
  refuse("0.5\na\n" + long_phrase + "\n", "line 3 is not a phrase of 1 to 255");
  refuse("0.5\n" + std::string(70000, 'a') + "\nb\n", "line 2 is longer");
  test::expect_error(ErrorCode::not_found, "nowhere", [] { MeteorParaphrases::load("/nowhere"); });
}

}  // namespace
}  // namespace capdiff
