#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/clip_reference.h"
#include "tests/support/command.h"
#include "tests/support/temporary_folder.h"

namespace capdiff::test {
namespace {

using testing::HasSubstr;

class TokenizeCommand : public testing::Test {
 protected:
  CommandResult tokenize(const std::string& input, std::vector<std::string> options = {}) const {
    options.insert(options.begin(), {"tokenize", "--vocab", vocabulary_});
    return run_capdiff(options, input);
  }

  TemporaryFolder folder_;
  std::string vocabulary_ =
      folder_.write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n.\na\nsword\n##fish\ncafe\n").string();
};

TEST_F(TokenizeCommand, WritesALineForEveryLine) {
  const CommandResult result = tokenize("\"A swordfish.\"\n\"\"\n\"caf\\u00e9 [MASK]\"");
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_EQ(result.output,
            "{\"tokens\":[\"a\",\"sword\",\"##fish\",\".\"],\"ids\":[6,7,8,5]}\n"
            "{\"tokens\":[],\"ids\":[]}\n"
            "{\"tokens\":[\"cafe\",\"[MASK]\"],\"ids\":[9,4]}\n");
  EXPECT_EQ(tokenize("").output, "");
}

TEST_F(TokenizeCommand, FillsAndCutsToALength) {
  const CommandResult result = tokenize("\"a swordfish.\"\n\"a\"\n", {"--length", "4"});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_EQ(result.output,
            "{\"tokens\":[\"[CLS]\",\"a\",\"sword\",\"[SEP]\"],\"ids\":[2,6,7,3],\"mask\":[1,1,1,1]}\n"
            "{\"tokens\":[\"[CLS]\",\"a\",\"[SEP]\",\"[PAD]\"],\"ids\":[2,6,3,0],\"mask\":[1,1,1,0]}\n");
}

TEST_F(TokenizeCommand, CutsLikeClip) {
  vocabulary_ = folder_.write("merges.txt", tiny_merges()).string();
  const CommandResult bare = tokenize("\"The dog&amp;\"\n\"\"\n", {"--type", "clip-bpe"});
  EXPECT_EQ(bare.exit_code, 0) << bare.errors;
  EXPECT_EQ(bare.output,
            "{\"tokens\":[\"the</w>\",\"dog</w>\",\"&</w>\"],\"ids\":[519,513,261]}\n{\"tokens\":[],\"ids\":[]}\n");
  const CommandResult padded = tokenize("\"dog\"\n\"dog dog dog\"\n", {"--type", "clip-bpe", "--length", "4"});
  EXPECT_EQ(padded.output,
            "{\"tokens\":[\"<|startoftext|>\",\"dog</"
            "w>\",\"<|endoftext|>\",\"!\"],\"ids\":[522,513,523,0],\"mask\":[1,1,1,0]}\n"
            "{\"tokens\":[\"<|startoftext|>\",\"dog</w>\",\"dog</"
            "w>\",\"<|endoftext|>\"],\"ids\":[522,513,513,523],\"mask\":[1,1,1,1]}\n");
}

TEST_F(TokenizeCommand, NamesTheLineThatIsWrong) {
  for (const char* line : {"", "a", "{}", "7", "\"a", "\"\xFF\""}) {
    const CommandResult result = tokenize(std::string("\"a\"\n") + line + "\n");
    EXPECT_EQ(result.exit_code, 1) << line;
    EXPECT_THAT(result.errors, HasSubstr("line 2")) << line;
  }
}

TEST_F(TokenizeCommand, TreebankTokensNeedNoVocabulary) {
  const CommandResult result =
      run_capdiff({"tokenize", "--type", "ptb"}, "\"Route b. (wet)\"\n\"b.\"\n\"a\\nb\\u00e9!\"\n\"\"");
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_EQ(result.output,
            "{\"tokens\":[\"route\",\"b.\",\"-lrb-\",\"wet\",\"-rrb-\"],\"kept\":[\"route\",\"b.\",\"-lrb-\",\"wet\","
            "\"-rrb-\"]}\n"
            "{\"tokens\":[\"b.\"],\"kept\":[\"b.\"]}\n"
            "{\"tokens\":[\"a\",\"b\u00e9\",\"!\"],\"kept\":[\"a\",\"b\u00e9\"]}\n"
            "{\"tokens\":[],\"kept\":[]}\n");
}

TEST_F(TokenizeCommand, ExplainsWrongUsage) {
  EXPECT_EQ(tokenize("", {"--length", "1"}).exit_code, 2);
  EXPECT_EQ(tokenize("", {"--type", "words"}).exit_code, 2);
  EXPECT_EQ(run_capdiff({"tokenize", "--type", "ptb", "--length", "5"}).exit_code, 2);
  EXPECT_EQ(run_capdiff({"tokenize"}).exit_code, 2);
  EXPECT_EQ(run_capdiff({"tokenize", "--type", "clip-bpe"}).exit_code, 2);
  EXPECT_EQ(run_capdiff({"tokenize", "--vocab", "/nowhere.txt"}).exit_code, 1);
}

}  // namespace
}  // namespace capdiff::test
