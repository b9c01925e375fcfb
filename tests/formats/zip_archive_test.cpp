#include "capdiff/formats/zip_archive.h"

#include <map>
#include <vector>

#include "tests/support/expect_error.h"
#include "tests/support/torch_file.h"

namespace capdiff {
namespace {

using test::expect_error;
using test::zip_file;
using ::testing::HasSubstr;

const test::ZipContents kContents{{"a", "first"}, {"folder/b", ""}, {"c", "third entry"}};

/// What a file holds, by name. It is read from bytes with none to spare behind them.
std::map<std::string, std::string> contents_of(const std::string& file) {
  const auto bytes = std::as_bytes(std::span(file));
  const std::vector<std::byte> own(bytes.begin(), bytes.end());
  const ZipArchive archive = ZipArchive::parse(own, "evil.zip");
  std::map<std::string, std::string> contents;
  for (const auto& [name, entry] : archive.entries()) {
    const auto read = archive.read(name);
    contents.emplace(name, std::string(reinterpret_cast<const char*>(read.data()), read.size()));
  }
  return contents;
}

std::string replaced(std::string text, std::string_view from, std::string_view to, std::size_t start = 0) {
  const std::size_t at = text.find(from, start);
  EXPECT_NE(at, std::string::npos);
  return text.replace(at, from.size(), to);
}

TEST(ZipArchive, ReadsStoredEntries) {
  const std::string file = zip_file(kContents);
  EXPECT_EQ(contents_of(file), (std::map<std::string, std::string>(kContents.begin(), kContents.end())));
  const ZipArchive archive = ZipArchive::parse(std::as_bytes(std::span(file)), "file");
  EXPECT_EQ(archive.find("d"), nullptr);
  expect_error(ErrorCode::invalid_model, "no entry \"d\"", [&] { archive.read("d"); });
}

TEST(ZipArchive, AllowsAComment) {
  std::string file = zip_file(kContents);
  file[file.size() - 2] = 5;
  EXPECT_NO_THROW(contents_of(file + "hello"));
}

TEST(ZipArchive, EveryTruncationIsAnError) {
  const std::string whole = zip_file(kContents);
  for (std::size_t length = 0; length < whole.size(); ++length)
    expect_error(ErrorCode::invalid_model, "evil.zip", [&] { contents_of(whole.substr(0, length)); });
}

TEST(ZipArchive, DamageIsRefusedOrChangesNothing) {
  const std::string good = zip_file(kContents);
  for (std::size_t at = 0; at < good.size(); ++at)
    for (const char flip : {'\x01', '\x80', '\xff'}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ flip);
      try {
        // Versions, times and attributes say nothing that a reader needs.
        EXPECT_EQ(contents_of(bad), contents_of(good)) << at;
      } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("evil.zip"));
      }
    }
}

TEST(ZipArchive, RefusesWhatTorchNeverWrites) {
  const std::string good = zip_file(kContents);
  const std::size_t directory = good.find("PK\x01\x02");
  std::string encrypted = good;
  encrypted[directory + 8] = 1;
  expect_error(ErrorCode::unsupported, "\"a\" is encrypted", [&] { contents_of(encrypted); });
  expect_error(ErrorCode::invalid_model, "\"a\" twice", [] { contents_of(zip_file({{"a", "x"}, {"a", "y"}})); });
  expect_error(ErrorCode::invalid_model, "checksum", [&] { contents_of(replaced(good, "first", "First")); });
  expect_error(ErrorCode::invalid_model, "calls \"c\"", [&] { contents_of(replaced(good, "cthird", "dthird")); });
  expect_error(ErrorCode::invalid_model, "end record", [&] { contents_of("x" + good); });
  expect_error(ErrorCode::invalid_model, "no end record", [&] { contents_of(good + "x"); });
}

TEST(ZipArchive, PassesOverCompressedEntriesThatNobodyReads) {
  const std::string file = zip_file(kContents, {"a"});
  const ZipArchive archive = ZipArchive::parse(std::as_bytes(std::span(file)), "file");
  EXPECT_EQ(archive.entries().size(), 3u);
  EXPECT_EQ(archive.read("c").size(), 11u);
  expect_error(ErrorCode::unsupported, "\"a\" is compressed", [&] { archive.find("a"); });
  expect_error(ErrorCode::unsupported, "\"a\" is compressed", [&] { archive.read("a"); });
  // Compressed data lie within the file too.
  std::string bad = file;
  bad[file.find("PK\x01\x02") + 22] = '\x7f';
  expect_error(ErrorCode::invalid_model, "does not fit", [&] { contents_of(bad); });
}

TEST(ZipArchive, RefusesEntriesThatOverlap) {
  // Both records of the directory point at the first entry.
  const std::string good = zip_file({{"a", "x"}, {"b", "x"}});
  const std::size_t second = good.find("PK\x01\x02", good.find("PK\x01\x02") + 1);
  std::string bad = good;
  bad.replace(second + 42, 4, std::string(4, '\0'));
  expect_error(ErrorCode::invalid_model, "not where the directory says", [&] { contents_of(bad); });
}

}  // namespace
}  // namespace capdiff
