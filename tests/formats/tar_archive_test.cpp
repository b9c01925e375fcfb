#include "capdiff/formats/tar_archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/expect_error.h"
#include "tests/support/tar_file.h"

namespace capdiff::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

std::vector<TarEntry> entries_of(const std::string& file) {
  return read_tar_entries(std::as_bytes(std::span(file)), "shard.tar");
}

/// Names and contents.
std::vector<std::pair<std::string, std::string>> contents_of(const std::string& file) {
  std::vector<std::pair<std::string, std::string>> contents;
  for (const TarEntry& entry : entries_of(file))
    contents.emplace_back(entry.name, file.substr(entry.offset, entry.size));
  return contents;
}

void expect_refused(const std::string& part, const std::string& file, ErrorCode code = ErrorCode::invalid_input) {
  EXPECT_THAT(expect_error(code, part, [&] { entries_of(file); }), ::testing::StartsWith("shard.tar"));
}

TEST(TarArchive, ListsRegularFilesWhereTheirBytesAre) {
  const std::string big(1000, 'x');
  EXPECT_THAT(contents_of(tar_file({{"a.jpg", "photo"}, {"empty", ""}, {"b/c.txt", big}})),
              ElementsAre(Pair("a.jpg", "photo"), Pair("empty", ""), Pair("b/c.txt", big)));
  EXPECT_THAT(contents_of(tar_end()), IsEmpty());
  // Everything behind the end mark is padding.
  EXPECT_EQ(contents_of(tar_file({{"a", "1"}}) + std::string(9000, 'z')).size(), 1u);
}

TEST(TarArchive, PassesOverFoldersLinksAndDevices) {
  const std::string file = tar_member("folder/", "", '5') + tar_header("link", 40, '1') +
                           tar_member("symbolic", "", '2') + tar_member("device", "", '3') + tar_member("old/", "") +
                           tar_member("old", "data", '\0') + tar_end();
  EXPECT_THAT(contents_of(file), ElementsAre(Pair("old", "data")));
}

TEST(TarArchive, JoinsThePrefixOfPosixAndNotThatOfGnu) {
  const std::string posix = tar_header("name", 0, '0', "some/folder");
  const std::string gnu = with_tar_field(posix, 257, std::string("ustar  ", 8));
  EXPECT_THAT(contents_of(posix + gnu + tar_end()), ElementsAre(Pair("some/folder/name", ""), Pair("name", "")));
}

TEST(TarArchive, ReadsLongNames) {
  const std::string name = "folder/" + std::string(200, 'n') + ".jpg";
  const std::string record = " path=" + name + "\n";
  const std::string pax = std::to_string(record.size() + 3) + record;
  const std::string file = tar_member("PaxHeaders/x", "20 comment=whatever\n" + pax, 'x') + tar_member("cut", "1") +
                           tar_member("././@LongLink", name + '\0', 'L') + tar_member("cut", "2") +
                           tar_member("global", pax, 'g') + tar_member("own", "3") + tar_end();
  EXPECT_THAT(contents_of(file), ElementsAre(Pair(name, "1"), Pair(name, "2"), Pair("own", "3")));
}

TEST(TarArchive, ReadsSizesOfOtherForms) {
  std::string binary(12, '\0');
  binary[0] = '\x80';
  binary[11] = 5;
  const std::string data = "hello" + std::string(507, '\0');
  EXPECT_THAT(contents_of(with_tar_field(tar_header("a", 0), 124, binary) + data + tar_end()),
              ElementsAre(Pair("a", "hello")));
  EXPECT_THAT(contents_of(with_tar_field(tar_header("a", 0), 124, "         5 \0") + data + tar_end()),
              ElementsAre(Pair("a", "hello")));
  EXPECT_THAT(contents_of(tar_member("x", "9 size=5\n", 'x') + tar_header("a", 0) + data + tar_end()),
              ElementsAre(Pair("a", "hello")));
}

TEST(TarArchive, RefusesWhatIsCut) {
  const std::string whole = tar_file({{"a.jpg", std::string(700, 'p')}, {"a.txt", "a photo"}});
  for (std::size_t length = 0; length + 512 < whole.size(); length += 100) expect_refused("", whole.substr(0, length));
  expect_refused("truncated", "");
}

TEST(TarArchive, RefusesDamagedHeaders) {
  std::string wrong = tar_file({{"a.jpg", "1"}});
  wrong[3] = 'X';
  expect_refused("checksum", wrong);
  expect_refused("no octal number", with_tar_field(tar_header("a", 0), 124, "12x45678901") + tar_end());
  expect_refused("do not fit", with_tar_field(tar_header("a", 0), 124, "77777777777") + tar_end());
  expect_refused("too large", with_tar_field(tar_header("a", 0), 124, std::string(12, '\xff')) + tar_end());
  std::string huge(12, '\0');
  huge[0] = '\x80';
  for (std::size_t i = 4; i < 12; ++i) huge[i] = '\xff';
  expect_refused("do not fit", with_tar_field(tar_header("a", 0), 124, huge) + tar_end());
  expect_refused("name", tar_file({{"", "1"}}));
  expect_refused("name", tar_member("l", std::string(5000, 'n'), 'L') + tar_member("a", "1") + tar_end());
  expect_refused("extension of", tar_member("l", std::string((1 << 20) + 1, 'n'), 'L') + tar_end());
}

TEST(TarArchive, RefusesMalformedPaxRecords) {
  for (const char* records : {"path=a\n", "9 path=abcdef\n", "8 path=a\n", "99 path=a\n", "0 path=a\n", "5 ab\n",
                              "18446744073709551616 path=a\n", "9 size=x\n", "11 size=-1\n"}) {
    expect_refused("pax", tar_member("x", records, 'x') + tar_member("a", "1") + tar_end());
  }
  expect_refused("sparse", tar_member("x", "22 GNU.sparse.major=1\n", 'x') + tar_end(), ErrorCode::unsupported);
  expect_refused("sparse", tar_member("x", "", 'S') + tar_end(), ErrorCode::unsupported);
}

TEST(TarArchive, NamesMayBeAnyBytes) {
  EXPECT_EQ(entries_of(tar_file({{"caf\xe9.jpg", "1"}})).at(0).name, "caf\xe9.jpg");
}

TEST(TarArchive, GivesWhatStandsBeforeTheDamageWhenAsked) {
  const std::string whole = tar_file({{"a", "1"}, {"b", "2"}});
  for (const std::size_t size : {std::size_t{1024}, std::size_t{1300}, std::size_t{1537}}) {
    std::string damage;
    const std::string cut = whole.substr(0, size);
    const std::vector<TarEntry> entries = read_tar_entries(std::as_bytes(std::span(cut)), "shard.tar", &damage);
    ASSERT_EQ(entries.size(), size > 1536 ? 2u : 1u) << size;
    EXPECT_THAT(damage, ::testing::StartsWith("shard.tar")) << size;
  }
  std::string none;
  EXPECT_EQ(read_tar_entries(std::as_bytes(std::span(whole)), "shard.tar", &none).size(), 2u);
  EXPECT_EQ(none, "");
}

}  // namespace
}  // namespace capdiff::test
