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

}  // namespace
}  // namespace capdiff::test
