#include "capdiff/base/files.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff {
namespace {

using test::expect_error;
using test::TemporaryFolder;

constexpr std::size_t kPlenty = 1 << 20;

std::size_t files_in(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

TEST(ReadFile, ReadsAllBytes) {
  const TemporaryFolder folder;
  const std::string contents("a\0b\xff\n", 5);
  const auto path = folder.write("file", contents);
  const auto bytes = read_file(path, 5);
  ASSERT_EQ(bytes.size(), 5u);
  EXPECT_EQ(std::memcmp(bytes.data(), contents.data(), 5), 0);
  EXPECT_TRUE(read_file(folder.write("empty", ""), kPlenty).empty());
}

TEST(ReadFile, ReadsFilesThatClaimToBeEmpty) {
  EXPECT_FALSE(read_file("/proc/self/status", kPlenty).empty());
}

TEST(ReadFile, ReadsParts) {
  const TemporaryFolder folder;
  const auto path = folder.write("file", "abcdef");
  const auto text = [](const std::vector<std::byte>& bytes) {
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  EXPECT_EQ(text(read_file_part(path, 2, 3)), "cde");
  EXPECT_EQ(text(read_file_part(path, 6, 0)), "");
  for (const auto& [offset, size] : {std::pair<std::uint64_t, std::size_t>{4, 3}, {7, 0}, {~std::uint64_t{0}, 2}})
    expect_error(ErrorCode::invalid_input, path.string() + " is too short",
                 [&, at = offset, bytes = size] { read_file_part(path, at, bytes); });
}

TEST(ReadFile, NamesWhatItCannotRead) {
  const TemporaryFolder folder;
  const auto missing = folder.path() / "missing";
  expect_error(ErrorCode::not_found, missing.string(), [&] { read_file(missing, kPlenty); });
  const auto below_a_file = folder.write("file", "12345") / "below";
  expect_error(ErrorCode::not_found, below_a_file.string(), [&] { read_file(below_a_file, kPlenty); });
  expect_error(ErrorCode::invalid_input, folder.path().string() + " is a folder",
               [&] { read_file(folder.path(), kPlenty); });
  expect_error(ErrorCode::invalid_input, "/dev/zero", [] { read_file("/dev/zero", kPlenty); });
  expect_error(ErrorCode::invalid_input, "at most 4 bytes", [&] { read_file(folder.path() / "file", 4); });
  expect_error(ErrorCode::invalid_input, "at most 4 bytes", [] { read_file("/proc/self/status", 4); });
}

TEST(ReadFile, DoesNotWaitForTheWriterOfAPipe) {
  const TemporaryFolder folder;
  const auto pipe = folder.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  expect_error(ErrorCode::invalid_input, "not a regular file", [&] { read_file(pipe, kPlenty); });
}

TEST(ReadText, DropsTheByteOrderMarkAndRequiresUtf8) {
  const TemporaryFolder folder;
  EXPECT_EQ(read_text(folder.write("bom",
                                   "\xef\xbb\xbf"
                                   "caf\xc3\xa9\n"),
                      kPlenty),
            "caf\xc3\xa9\n");
  for (const char* const wrong : {"caf\xe9", "\xc0\xaf", "\xed\xa0\x80", "\xe2\x82", "\xf5\x80\x80\x80"})
    expect_error(ErrorCode::invalid_input, "is not UTF-8", [&] { read_text(folder.write("wrong", wrong), kPlenty); });
}

TEST(MappedFile, ShowsTheBytesAndSurvivesReplacement) {
  const TemporaryFolder folder;
  const auto path = folder.write("file", "old");
  const auto file = MappedFile::open(path);
  write_file_atomically(path, "new and longer");
  ASSERT_EQ(file->bytes().size(), 3u);
  EXPECT_EQ(std::memcmp(file->bytes().data(), "old", 3), 0);
  EXPECT_TRUE(MappedFile::open(folder.write("empty", ""))->bytes().empty());
  expect_error(ErrorCode::not_found, "missing", [&] { MappedFile::open(folder.path() / "missing"); });
  expect_error(ErrorCode::invalid_input, "is a folder", [&] { MappedFile::open(folder.path()); });
}

TEST(AtomicFileWriter, FileAppearsOnlyWithCommit) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "file";
  {
    AtomicFileWriter writer(path);
    writer.write("half a capt");
    EXPECT_FALSE(std::filesystem::exists(path));
  }
  EXPECT_EQ(files_in(folder.path()), 0u);

  AtomicFileWriter writer(path);
  const std::string large(200'000, 'x');
  writer.write("first ");
  writer.write(large);
  writer.write(" last");
  writer.commit();
  EXPECT_EQ(read_text(path, kPlenty), "first " + large + " last");
  EXPECT_EQ(files_in(folder.path()), 1u);
}

TEST(AtomicFileWriter, KeepsTheOldFileUntilCommitAndItsPermissions) {
  const TemporaryFolder folder;
  const auto path = folder.write("file", "old");
  std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  { AtomicFileWriter(path).write("abandoned"); }
  EXPECT_EQ(read_text(path, kPlenty), "old");
  write_file_atomically(path, "new");
  EXPECT_EQ(read_text(path, kPlenty), "new");
  EXPECT_EQ(std::filesystem::status(path).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST(AtomicFileWriter, LeavesNothingWhenItsProcessIsKilled) {
  const TemporaryFolder folder;
  const int nameless = ::open(folder.path().c_str(), O_TMPFILE | O_WRONLY, 0600);
  if (nameless < 0) GTEST_SKIP() << "this file system gives every file a name";
  ::close(nameless);
  const pid_t child = ::fork();
  if (child == 0) {
    AtomicFileWriter writer(folder.path() / "file");
    writer.write(std::string(200'000, 'x'));
    ::_exit(0);  // no destructor runs
  }
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(files_in(folder.path()), 0u);
}

TEST(AtomicFileWriter, DoesWithoutAFlush) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "file";
  for (const std::string text : {"first", "second"}) {
    write_file_atomically(path, text, Flush::no);
    EXPECT_EQ(read_text(path, kPlenty), text);
    EXPECT_EQ(files_in(folder.path()), 1u);
  }
}

TEST(AtomicFileWriter, FollowsSymbolicLinks) {
  const TemporaryFolder folder;
  const auto path = folder.write("file", "old");
  const auto link = folder.path() / "link";
  std::filesystem::create_symlink(path, link);
  write_file_atomically(link, "new");
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_EQ(read_text(path, kPlenty), "new");
}

TEST(AtomicFileWriter, FullDiskIsAnError) {
  expect_error(ErrorCode::io, "/dev/full", [] { write_file_atomically("/dev/full", "caption"); });
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/full"));
}

TEST(AtomicFileWriter, FailedWriteLeavesTheOldFileAndNothingElse) {
  const TemporaryFolder folder;
  const auto path = folder.write("file", "old");
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1000, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  expect_error(ErrorCode::io, path.string(), [&] { write_file_atomically(path, std::string(2000, 'x')); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(read_text(path, kPlenty), "old");
  EXPECT_EQ(files_in(folder.path()), 1u);
}

TEST(AtomicFileWriter, NamesWhatItCannotWrite) {
  const TemporaryFolder folder;
  expect_error(ErrorCode::io, folder.path().string(), [&] { AtomicFileWriter writer(folder.path()); });
  const auto nowhere = folder.path() / "missing" / "file";
  expect_error(ErrorCode::io, nowhere.string(), [&] { AtomicFileWriter writer(nowhere); });
}

TEST(MappedFile, ReadsForgottenPagesAgain) {
  const TemporaryFolder folder;
  const auto file = MappedFile::open(folder.write("file", "contents"));
  file->forget_pages();
  EXPECT_EQ(std::memcmp(file->bytes().data(), "contents", 8), 0);
  MappedFile::open(folder.write("empty", ""))->forget_pages();
}

TEST(AtomicFolder, AppearsOnlyWithCommit) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "new" / "model";
  {
    AtomicFolder abandoned(path);
    write_file_atomically(abandoned.file("a"), "1");
    EXPECT_FALSE(std::filesystem::exists(path));
  }
  EXPECT_EQ(files_in(folder.path() / "new"), 0u);
  AtomicFolder written(path);
  write_file_atomically(written.file("a"), "1");
  written.commit();
  EXPECT_EQ(read_text(path / "a", kPlenty), "1");
  EXPECT_EQ(files_in(folder.path() / "new"), 1u);
}

TEST(AtomicFolder, TakesThePlaceOfAnEmptyFolderAndReplacesFiles) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder.path() / "empty");
  AtomicFolder first((folder.path() / "empty/").string());
  write_file_atomically(first.file("a"), "1");
  first.commit();
  EXPECT_EQ(read_text(folder.path() / "empty/a", kPlenty), "1");
  folder.write("empty/other", "stays");
  {
    AtomicFolder second(folder.path() / "empty");
    write_file_atomically(second.file("a"), "2");
    second.commit();
  }
  EXPECT_EQ(read_text(folder.path() / "empty/a", kPlenty), "2");
  EXPECT_EQ(read_text(folder.path() / "empty/other", kPlenty), "stays");
  EXPECT_EQ(files_in(folder.path()), 1u);
}

TEST(AtomicFolder, NamesWhatItCannotWrite) {
  const TemporaryFolder folder;
  const auto file = folder.write("file", "");
  expect_error(ErrorCode::io, "a file of that name is there", [&] { AtomicFolder taken(file); });
  expect_error(ErrorCode::io, "file", [&] { AtomicFolder inside(file / "model"); });
}

}  // namespace
}  // namespace capdiff
