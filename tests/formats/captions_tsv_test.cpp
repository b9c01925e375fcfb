#include "capdiff/formats/captions_tsv.h"

#include <zlib.h>

#include "capdiff/base/files.h"
#include "tests/support/expect_error.h"
#include "tests/support/shared.h"
#include "tests/support/temporary_folder.h"

namespace capdiff {
namespace {

using test::expect_error;
using test::TemporaryFolder;

void write_gzip(const std::filesystem::path& path, std::string_view text) {
  const gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  gzclose(file);
}

TEST(CaptionsTsv, ReadsPlainAndCompressedAlike) {
  const TemporaryFolder folder;
  const std::string text = "coco\ta dog\tand a cat\r\n\nnocaps\tcaf\u00e9\nflickr8k\tno end of line";
  const auto plain = folder.write("a.tsv", text);
  const auto compressed = folder.path() / "a.tsv.gz";
  write_gzip(compressed, text);
  for (const auto& path : {plain, compressed}) {
    const auto captions = read_captions_tsv(path);
    ASSERT_EQ(captions.size(), 3u);
    EXPECT_EQ(captions[0].source, "coco");
    EXPECT_EQ(captions[0].caption, "a dog\tand a cat");
    EXPECT_EQ(captions[1].caption, "caf\u00e9");
    EXPECT_EQ(captions[2].caption, "no end of line");
    const auto selected = read_captions_tsv(path, {"nocaps", "coco"});
    ASSERT_EQ(selected.size(), 2u);
    EXPECT_EQ(selected[1].source, "nocaps");
  }
  EXPECT_TRUE(read_captions_tsv(folder.write("empty", "")).empty());
}

TEST(CaptionsTsv, LinesAcrossBlocksStayWhole) {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += fmt::format("s\tcaption number {}\n", i);
  const auto path = folder.path() / "a.tsv.gz";
  write_gzip(path, text);
  const auto captions = read_captions_tsv(path);
  ASSERT_EQ(captions.size(), 20'000u);
  for (std::size_t i = 0; i < captions.size(); ++i) ASSERT_EQ(captions[i].caption, fmt::format("caption number {}", i));
}

TEST(CaptionsTsv, NamesTheLine) {
  const TemporaryFolder folder;
  for (const char* const line : {"no tab", "\tno source", "no caption\t"})
    expect_error(ErrorCode::invalid_input, "a.tsv, line 2: expected",
                 [&] { read_captions_tsv(folder.write("a.tsv", std::string("s\tc\n") + line + "\n")); });
  expect_error(ErrorCode::invalid_input, "a.tsv, line 1: not UTF-8",
               [&] { read_captions_tsv(folder.write("a.tsv", "s\tcaf\xe9\n")); });
  const std::string longest = "s\t" + std::string(65534, 'x');
  EXPECT_EQ(read_captions_tsv(folder.write("a.tsv", longest)).size(), 1u);
  for (const char* const end : {"x", "x\n"})
    expect_error(ErrorCode::invalid_input, "a.tsv, line 1: longer than",
                 [&] { read_captions_tsv(folder.write("a.tsv", longest + end)); });
  expect_error(ErrorCode::invalid_input, "line 1: longer than",
               [&] { read_captions_tsv(folder.write("a.tsv", std::string(1'000'000, 'x'))); });
  expect_error(ErrorCode::not_found, "missing", [&] { read_captions_tsv(folder.path() / "missing"); });
  expect_error(ErrorCode::invalid_input, "is a folder", [&] { read_captions_tsv(folder.path()); });
}

TEST(CaptionsTsv, TruncatedAndDamagedGzipIsRefused) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "a.tsv.gz";
  write_gzip(path, "coco\ta dog runs in the snow\nnocaps\ta cat\n");
  const auto bytes = read_file(path, 1 << 20);
  const std::string whole(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  for (std::size_t length = 1; length < whole.size(); ++length)
    expect_error(ErrorCode::invalid_input, "a.tsv.gz",
                 [&] { read_captions_tsv(folder.write("a.tsv.gz", whole.substr(0, length))); });
  std::string damaged = whole;
  damaged[whole.size() - 6] ^= 1;  // in the checksum
  expect_error(ErrorCode::invalid_input, "truncated or damaged",
               [&] { read_captions_tsv(folder.write("a.tsv.gz", damaged)); });
}

TEST(CaptionsTsv, ReadsTheCorpus) {
  CAPDIFF_SHARED_OR_SKIP(path, "data/text/captions.tsv.gz");
  EXPECT_EQ(read_captions_tsv(path).size(), 295'205u);
  EXPECT_EQ(read_captions_tsv(path, {"nocaps"}).size(), 44'929u);
}

}  // namespace
}  // namespace capdiff
