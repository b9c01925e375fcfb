#include "capdiff/text/vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include "capdiff/base/error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kSpecial = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n.\n";

std::string parse_error(std::string_view text) {
  try {
    Vocabulary::parse(text, "vocab.txt");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_model);
    return error.what();
  }
  return "no error";
}

TEST(Vocabulary, LineNumbersAreIds) {
  const auto vocabulary = Vocabulary::parse("dog\n.\n##s\n[MASK]\n[SEP]\n[CLS]\n[UNK]\n[PAD]", "vocab.txt");
  EXPECT_EQ(vocabulary.size(), 8);
  EXPECT_EQ(vocabulary.token(2), "##s");
  EXPECT_EQ(vocabulary.find("dog"), 0);
  EXPECT_EQ(vocabulary.find("cat"), std::nullopt);
  EXPECT_EQ(vocabulary.dot(), 1);
  EXPECT_EQ(vocabulary.mask(), 3);
  EXPECT_EQ(vocabulary.sep(), 4);
  EXPECT_EQ(vocabulary.cls(), 5);
  EXPECT_EQ(vocabulary.unk(), 6);
  EXPECT_EQ(vocabulary.pad(), 7);
}

TEST(Vocabulary, CarriageReturnsEndLines) {
  EXPECT_EQ(Vocabulary::parse("[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\n[MASK]\r\n.\r\na\r\n", "v").find("a"), 6);
}

TEST(Vocabulary, BrokenFilesAreRefusedByLine) {
  EXPECT_THAT(parse_error(""), HasSubstr("vocab.txt"));
  EXPECT_THAT(parse_error(std::string(kSpecial) + "a\n\nb\n"), HasSubstr("line 8 is empty"));
  EXPECT_THAT(parse_error(std::string(kSpecial) + "a\nb\na\n"), HasSubstr("lines 7 and 9"));
  EXPECT_THAT(parse_error("[PAD]\n[UNK]\n[CLS]\n[SEP]\n.\n"), HasSubstr("[MASK]"));
  EXPECT_THAT(parse_error("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n"), HasSubstr("the token ."));
}

TEST(Vocabulary, UnknownIdsAreErrors) {
  const auto vocabulary = Vocabulary::parse(kSpecial, "v");
  EXPECT_THROW(vocabulary.token(-1), Error);
  EXPECT_THROW(vocabulary.token(6), Error);
}

TEST(Vocabulary, CopiesDoNotShareTheirIndex) {
  auto original = std::make_unique<Vocabulary>(Vocabulary::parse(std::string(kSpecial) + "a\n", "v"));
  const Vocabulary copy = *original;
  original.reset();
  EXPECT_EQ(copy.find("a"), 6);
}

TEST(Vocabulary, SavesWhatItLoads) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "vocab.txt";
  const auto vocabulary = Vocabulary::parse(std::string(kSpecial) + "café\n##s\n", "v");
  vocabulary.save(path);
  EXPECT_EQ(Vocabulary::load(path).tokens(), vocabulary.tokens());
  std::ofstream(path) << std::string((std::size_t{16} << 20) + 1, 'a');
  EXPECT_THROW(Vocabulary::load(path), Error);
  std::filesystem::remove(path);
  EXPECT_THROW(Vocabulary::load(path), Error);
}

}  // namespace
}  // namespace capdiff
