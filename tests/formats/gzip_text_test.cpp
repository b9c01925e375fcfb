#include "capdiff/formats/gzip_text.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff::test {
namespace {

TEST(GzipText, ReadsPlainAndCompressedText) {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 30000; ++i) text += std::to_string(i) + " é\n";
  EXPECT_EQ(read_gzip_text(folder.write("plain.txt", text), 1 << 20), text);
  const std::string packed = (folder.path() / "packed.txt.gz").string();
  const gzFile file = gzopen(packed.c_str(), "wb");
  gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  gzclose(file);
  EXPECT_EQ(read_gzip_text(packed, 1 << 20), text);
  for (const auto& path : {folder.path() / "plain.txt", std::filesystem::path(packed)})
    expect_error(ErrorCode::invalid_input, path.string(), [&] { read_gzip_text(path, 1000); });
  std::filesystem::resize_file(packed, std::filesystem::file_size(packed) / 2);
  expect_error(ErrorCode::invalid_input, "damaged", [&] { read_gzip_text(packed, 1 << 20); });
  expect_error(ErrorCode::invalid_input, "UTF-8", [&] { read_gzip_text(folder.write("bytes", "\xFF\xFE"), 100); });
  expect_error(ErrorCode::not_found, "nowhere", [&] { read_gzip_text(folder.path() / "nowhere", 100); });
}

std::vector<std::string> lines_of(const std::filesystem::path& path, std::uint64_t max_bytes = 1 << 20) {
  GzipLineReader reader(path, max_bytes);
  std::vector<std::string> lines;
  std::string line;
  while (reader.next(line)) {
    lines.push_back(line);
    EXPECT_EQ(reader.line_number(), lines.size());
  }
  return lines;
}

TEST(GzipLineReader, ReadsLinesOfPlainAndCompressedText) {
  const TemporaryFolder folder;
  std::vector<std::string> lines;
  std::string text;
  for (int i = 0; i < 30000; ++i) {
    lines.push_back(i % 7 ? std::string(i % 11, 'x') + std::to_string(i) : "");
    text += lines.back() + (i % 5 ? "\n" : "\r\n");
  }
  EXPECT_EQ(lines_of(folder.write("plain.txt", text)), lines);
  const std::string packed = (folder.path() / "packed.txt.gz").string();
  const gzFile file = gzopen(packed.c_str(), "wb");
  gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  gzclose(file);
  EXPECT_EQ(lines_of(packed), lines);
  expect_error(ErrorCode::invalid_input, packed, [&] { lines_of(packed, 1000); });
  std::filesystem::resize_file(packed, std::filesystem::file_size(packed) / 2);
  expect_error(ErrorCode::invalid_input, "damaged", [&] { lines_of(packed); });
  expect_error(ErrorCode::not_found, "nowhere", [&] { lines_of(folder.path() / "nowhere"); });
}

TEST(GzipLineReader, EndsOfFilesAndLongLines) {
  const TemporaryFolder folder;
  using Lines = std::vector<std::string>;
  EXPECT_EQ(lines_of(folder.write("a", "")), Lines());
  EXPECT_EQ(lines_of(folder.write("b", "x")), Lines{"x"});
  EXPECT_EQ(lines_of(folder.write("c", "\n\xFF")), (Lines{"", "\xFF"}));
  // Line ends on both sides of the border between two blocks.
  const std::string block(65535, 'x');
  EXPECT_EQ(lines_of(folder.write("d", block + "\ny\n")), (Lines{block, "y"}));
  EXPECT_EQ(lines_of(folder.write("e", block + "x\ny")), (Lines{block + "x", "y"}));
  expect_error(ErrorCode::invalid_input, "line 2 is longer", [&] { lines_of(folder.write("f", "\n" + block + "xx")); });
}

}  // namespace
}  // namespace capdiff::test
