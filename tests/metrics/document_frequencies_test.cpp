#include "capdiff/metrics/document_frequencies.h"

#include <omp.h>

#include "capdiff/metrics/cider_d.h"
#include "tests/metrics/metric_goldens.h"
#include "tests/support/command.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff {
namespace {

using test::expect_error;
using test::words;

const std::vector<std::vector<Tokens>> kCorpus{{words("a dog"), words("a dog runs")}, {words("a café")}};
constexpr const char* kFile =
    "capdiff document frequencies\t1\ntokenizer\tptb\nimages\t2\n2\ta\n1\ta café\n1\ta dog\n1\ta dog runs\n1\tcafé\n"
    "1\tdog\n1\tdog runs\n1\truns\n";

/// The frequency of words with a space between them.
std::int64_t frequency(const DocumentFrequencies& frequencies, std::string_view text) {
  WordNumbers numbers = frequencies.words();
  Ngram ngram;
  const auto found = numbers.number(words(text));
  std::copy(found.begin(), found.end(), ngram.words.begin());
  return frequencies[ngram];
}

TEST(DocumentFrequencies, RoundTripThroughAFile) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "df.txt";
  const DocumentFrequencies frequencies(kCorpus);
  EXPECT_EQ(frequencies.size(), 8u);
  frequencies.save(path, "ptb");
  EXPECT_EQ(test::read_text_bytes(path), kFile);
  const auto again = DocumentFrequencies::load(path, "ptb");
  EXPECT_EQ(again.images(), 2);
  EXPECT_EQ(again.size(), 8u);
  for (const char* ngram : {"a", "a dog runs", "café", "runs", "dog a", "x"})
    EXPECT_EQ(frequency(again, ngram), frequency(frequencies, ngram)) << ngram;
  const std::vector<ScoredImage> images{{"1", words("a dog runs home"), {words("a dog runs"), words("runs home")}}};
  EXPECT_DOUBLE_EQ(cider_d(images, again).corpus, cider_d(images, frequencies).corpus);
  EXPECT_GT(cider_d(images, again).corpus, 0.0);
}

TEST(DocumentFrequencies, NamesTheLineThatIsWrong) {
  const test::TemporaryFolder folder;
  const std::string head = "capdiff document frequencies\t1\ntokenizer\tptb\nimages\t2\n";
  const std::pair<std::string, const char*> cases[] = {
      {"", "line 1"},
      {"images\t2\n", "line 1"},
      {"capdiff document frequencies\t2\n", "line 1"},
      {"capdiff document frequencies\t1\ntokenizer\tnone\nimages\t2\n",
       "by the tokeniser \"none\", those to score by \"ptb\""},
      {"capdiff document frequencies\t1\ntokenizer\tptb\nimages\t0\n", "line 3"},
      {"capdiff document frequencies\t1\ntokenizer\tptb\n2\ta\n", "line 3"},
      {head + "3\ta\n", "line 4: not document frequencies; expected a number from 1 to 2"},
      {head + "-1\ta\n", "line 4"},
      {head + "1a\ta\n", "line 4"},
      {head + "99999999999999999999\ta\n", "line 4"},
      {head + "1\ta\n1\ta b c d e\n", "line 5: not document frequencies; expected one to four words"},
      {head + "1\ta  b\n", "line 4"},
      {head + "1\t\n", "line 4"},
      {head + "1 a\n", "line 4"},
      {head + "1\ta\n1\tb\n1\ta\n", "line 6"},
      {head + "1\tcaf\xE9\n", "UTF-8"},
  };
  for (const auto& [text, part] : cases) {
    const auto path = folder.write("df.txt", text);
    EXPECT_THAT(expect_error(ErrorCode::invalid_input, part, [&] { DocumentFrequencies::load(path, "ptb"); }),
                ::testing::HasSubstr("df.txt"))
        << text;
  }
}

TEST(DocumentFrequencies, DoNotDependOnThreads) {
  std::vector<std::vector<Tokens>> corpus;
  for (int i = 0; i < 500; ++i)
    corpus.push_back({words("a " + std::to_string(i % 7) + " b " + std::to_string(i)), words(std::to_string(i % 5))});
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  const DocumentFrequencies one(corpus);
  omp_set_num_threads(4);
  const DocumentFrequencies four(corpus);
  omp_set_num_threads(threads);
  EXPECT_EQ(one.size(), four.size());
  for (const char* ngram : {"a", "a 3", "3 b", "b 17", "4", "a 3 b 17"})
    EXPECT_EQ(frequency(one, ngram), frequency(four, ngram)) << ngram;
  EXPECT_EQ(frequency(one, "3"), 71 + 100 - 15);
}

}  // namespace
}  // namespace capdiff
