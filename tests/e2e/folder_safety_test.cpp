#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/captioned_folder.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class FolderSafety : public CaptionedFolder {
 protected:
  std::string outside(const std::string& name) const { return (folder_.path() / name).string(); }
};

TEST_F(FolderSafety, NoFileThatIsReadIsWrittenAndNoneByTwo) {
  add_picture("a.png");
  add_picture("b.png");
  fs::copy_file(photos("a.png"), photos("called-text.txt"));
  fs::create_symlink(photos("a.png"), outside("link"));
  const auto list = folder_.write("list", photos("a.png") + "\n");
  const std::string a = text("a.png");
  const std::vector<std::vector<std::string>> refused = {
      {photos("a.png"), "-o", photos("a.png")},
      {photos("b.png"), "-o", photos("a.png")},  // -o *.png
      {photos(), "-o", photos("new.jpg")},
      {photos(), "-o", outside("shard.tar")},
      {photos(), "-o", outside("link")},
      {photos(), "--errors", photos("a.png")},
      {photos(), "--errors", outside("out"), "-o", outside("out")},
      {photos(), "--errors", outside("out.part"), "-o", outside("out")},
      {photos(), "--format", "text,jsonl", "-o", outside("out"), "-o", photos("../out")},
      {photos("a.png"), "--trace-svg", photos("a.png")},
      {photos("called-text.txt"), "-o", photos("called-text.txt")},
      {"--files-from", list.string(), "-o", list.string()},
  };
  for (const std::vector<std::string>& arguments : refused) {
    const CommandResult result = caption(arguments);
    EXPECT_EQ(result.exit_code, 2) << arguments[1] << " " << arguments[2] << ": " << result.errors;
  }
  for (const char* existing : {"skip", "overwrite"}) {
    const CommandResult result = caption({photos("called-text.txt"), "--format", "sidecar", "--existing", existing});
    EXPECT_EQ(result.exit_code, 1) << existing;
    EXPECT_THAT(result.errors, HasSubstr("its text file would take the place of")) << existing;
  }
  const CommandResult both = caption({photos("a.png"), "--format", "sidecar,text", "-o", photos("a.txt")});
  EXPECT_EQ(both.exit_code, 1);
  EXPECT_THAT(both.errors, HasSubstr("its text file would be that of -o"));
  EXPECT_EQ(text("a.png"), a);
  EXPECT_EQ(text("called-text.txt"), a);
  EXPECT_EQ(read_text_bytes(list), photos("a.png") + "\n");
  EXPECT_EQ(caption({photos("a.png"), "-o", "/dev/null", "--errors", "/dev/null"}).exit_code, 0);
}

TEST_F(FolderSafety, SkipKeepsACaptionThatStandsAlone) {
  add_picture("a.png");
  const std::string own = outside("own.txt");
  folder_.write("own.txt", "mine\n");
  const CommandResult skipped = caption({photos("a.png"), "-o", own, "--existing", "skip"});
  EXPECT_EQ(skipped.exit_code, 0) << skipped.errors;
  EXPECT_THAT(skipped.errors, HasSubstr("captioned 0, skipped 1, failed 0"));
  EXPECT_EQ(caption({photos(), "--trace", "-o", own, "--existing", "skip"}).exit_code, 2);
  EXPECT_EQ(read_text_bytes(own), "mine\n");
  EXPECT_EQ(caption({photos("a.png"), "-o", outside("new.txt"), "--existing", "skip"}).exit_code, 0);
  EXPECT_EQ(caption({photos("a.png"), "-o", own}).exit_code, 0);
  EXPECT_EQ(read_text_bytes(own), read_text_bytes(outside("new.txt")));
}

TEST_F(FolderSafety, ASidecarThatCannotBeWrittenIsThatPicturesFailure) {
  add_picture("a.png");
  add_picture(std::string(251, 'n') + ".png");
  add_picture("folder.png");
  fs::create_directories(photos("folder.caption"));
  add_picture("sub/b.png");
  write("out/sub", "a file");
  const auto run = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {photos("a.png"), photos(std::string(251, 'n') + ".png"), photos("folder.png"),
                               "--format", "sidecar", "--sidecar-extension", "caption"});
    return caption(more);
  };
  for (const char* existing : {"skip", "overwrite"}) {
    fs::remove(photos("a.caption"));
    const CommandResult result = run({"--existing", existing});
    EXPECT_EQ(result.exit_code, 3);
    EXPECT_THAT(result.errors, HasSubstr("captioned 1, skipped 0, failed 2"));
    EXPECT_THAT(result.errors, HasSubstr("File name too long"));
    EXPECT_THAT(result.errors, HasSubstr("folder.caption: it is a folder"));
    EXPECT_TRUE(fs::exists(photos("a.caption")));
  }
  const CommandResult tree = caption({photos(), "--recursive", "--format", "sidecar", "--sidecar-dir", photos("out")});
  EXPECT_EQ(tree.exit_code, 3);
  EXPECT_THAT(tree.errors, HasSubstr("captioned 3, skipped 0, failed 1"));
  EXPECT_THAT(tree.errors, HasSubstr("cannot write captions into " + photos("out/sub") + ": it is a file"));
}

TEST_F(FolderSafety, ARunThatFailsSaysHowFarItCame) {
  for (int i = 0; i < 3; ++i) add_picture(std::to_string(i) + ".png");
  write("broken.png", "no picture");
  const CommandResult result = caption({photos(), "-o", "/dev/full"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.errors, HasSubstr("ended early: captioned 0, skipped 0, failed 1"));
  EXPECT_THAT(result.errors, HasSubstr("3 left"));
  EXPECT_THAT(result.errors, HasSubstr("No space left on device"));
}

}  // namespace
}  // namespace capdiff::test
