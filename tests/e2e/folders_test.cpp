#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/support/captioned_folder.h"
#include "tests/support/tar_file.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

class Folders : public CaptionedFolder {};

TEST_F(Folders, SidecarsStandBesideThePictures) {
  add_picture("a.png");
  add_picture("deep/er/b.png");
  const CommandResult result = caption({photos(), "--recursive", "--format", "sidecar"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_EQ(result.output, "");
  EXPECT_THAT(result.errors, HasSubstr("captioned 2, skipped 0, failed 0"));
  EXPECT_EQ(text("a.txt"), caption({photos("a.png")}).output);
  EXPECT_EQ(text("deep/er/b.txt"), caption({photos("deep/er/b.png")}).output);
}

TEST_F(Folders, SidecarsMayStandInATreeOfTheirOwn) {
  add_picture("a.png");
  add_picture("deep/b.png");
  const std::string out = (folder_.path() / "out").string();
  const CommandResult result =
      caption({photos(), "--recursive", "--format", "sidecar", "--sidecar-dir", out, "--sidecar-extension", "caption",
               "--prefix", "photo of ", "--suffix", ", film"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_THAT(read_text_bytes(out + "/deep/b.caption"), StartsWith("photo of "));
  EXPECT_THAT(read_text_bytes(out + "/a.caption"), EndsWith(", film\n"));
  EXPECT_FALSE(fs::exists(photos("a.txt")));
  // A picture that is named itself keeps its path, and never leads out of the folder.
  EXPECT_EQ(caption({photos("deep/../a.png"), "--format", "sidecar", "--sidecar-dir", out}).exit_code, 0);
  EXPECT_TRUE(fs::exists(out + photos("a.txt")));
}

TEST_F(Folders, ExistingSidecarsAreTreatedAsAsked) {
  add_picture("a.png");
  add_picture("b.png");
  const std::string own = caption({photos("a.png")}).output;
  write("a.txt", "mine\n");
  const auto run = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {photos(), "--format", "sidecar"});
    return caption(more);
  };
  EXPECT_THAT(run({}).errors, HasSubstr("captioned 1, skipped 1, failed 0"));
  EXPECT_EQ(text("a.txt"), "mine\n");
  const CommandResult refused = run({"--existing", "error"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.errors, HasSubstr("a.txt is there already"));
  for (int i = 0; i < 2; ++i) {  // the second time changes nothing
    EXPECT_EQ(run({"--existing", "append"}).exit_code, 0);
    EXPECT_EQ(text("a.txt"), "mine\n" + own);
  }
  EXPECT_EQ(run({"--existing", "prepend"}).exit_code, 0);
  EXPECT_EQ(text("a.txt"), "mine\n" + own);
  write("a.txt", "mine\n");
  EXPECT_EQ(run({"--existing", "prepend"}).exit_code, 0);
  EXPECT_EQ(text("a.txt"), own + "mine\n");
  EXPECT_EQ(run({"--existing", "overwrite"}).exit_code, 0);
  EXPECT_EQ(text("a.txt"), own);
}

TEST_F(Folders, WritesSeveralFormatsAtOnce) {
  add_picture("1.png");
  add_picture("2.png");
  const auto file = [&](const char* name) { return (folder_.path() / name).string(); };
  const CommandResult result =
      caption({photos(), "--format", "sidecar,jsonl", "-o", file("all.jsonl"), "--format", "csv", "-o", file("all.csv"),
               "--format", "coco", "-o", file("all.json"), "--format", "text", "-o", file("all.txt")});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  const std::string one = lines_of(text("1.txt")).at(0), two = lines_of(text("2.txt")).at(0);
  EXPECT_EQ(read_text_bytes(file("all.txt")),
            photos("1.png") + "\t" + one + "\n" + photos("2.png") + "\t" + two + "\n");
  EXPECT_EQ(nlohmann::json::parse(lines_of(read_text_bytes(file("all.jsonl"))).at(1)).at("caption"), two);
  EXPECT_THAT(lines_of(read_text_bytes(file("all.csv"))).at(0), "path,caption");
  EXPECT_THAT(lines_of(read_text_bytes(file("all.csv"))).at(2), HasSubstr(two));
  const nlohmann::json coco = nlohmann::json::parse(read_text_bytes(file("all.json")));
  EXPECT_EQ(coco, (nlohmann::json{{{"image_id", 1}, {"caption", one}}, {{"image_id", 2}, {"caption", two}}}));
}

TEST_F(Folders, AllCandidatesHaveColumns) {
  add_picture("a.png");
  const CommandResult result = caption({photos("a.png"), "--format", "csv", "--all", "--candidates", "3"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  ASSERT_EQ(lines_of(result.output).size(), 2u);
  EXPECT_EQ(lines_of(result.output)[0], "path,caption,candidate_1,candidate_2,candidate_3");
}

TEST_F(Folders, OneBrokenPictureChangesNothingElse) {
  for (const char* name : {"a.png", "b.png", "d.png", "e.png"}) add_picture(name);
  const CommandResult before = caption({photos(), "--batch", "3"});
  write("c.png", picture(0).substr(0, 90));
  write("c2.jpg", "");
  fs::create_directories(photos("folder.png"));
  fs::create_symlink("nowhere", photos("link.png"));
  const std::string log = (folder_.path() / "errors.tsv").string();
  const CommandResult result = caption({photos(), "--batch", "3", "--errors", log});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.output, before.output);
  EXPECT_THAT(result.errors, HasSubstr("captioned 4, skipped 0, failed 3"));
  const std::vector<std::string> errors = lines_of(read_text_bytes(log));
  ASSERT_EQ(errors.size(), 3u);
  EXPECT_THAT(errors[0], testing::ContainsRegex("^[0-9-]+T[0-9:]+Z\t.*c.png\tbroken PNG image: "));
  EXPECT_THAT(errors[1], HasSubstr("c2.jpg\tis empty"));
  EXPECT_THAT(errors[2], HasSubstr("link.png\ta link to nothing"));
  EXPECT_EQ(caption({photos(), "--allow-truncated"}).exit_code, 3);
  EXPECT_EQ(caption({photos("c2.jpg"), photos("link.png")}).exit_code, 1);
}

TEST_F(Folders, TakesWhatIsLeftOfACutPictureWhenAsked) {
  const std::string whole = picture(1);
  write("cut.png", whole.substr(0, whole.size() * 3 / 4));
  EXPECT_EQ(caption({photos("cut.png")}).exit_code, 1);
  const CommandResult result = caption({photos("cut.png"), "--allow-truncated"});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_THAT(result.errors, HasSubstr("cut.png: it is damaged"));
  add_picture("whole.png");
  const std::vector<std::string> rows = lines_of(caption({photos(), "--allow-truncated", "--format", "jsonl"}).output);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(nlohmann::json::parse(rows[0]).at("truncated"), true);
  EXPECT_FALSE(nlohmann::json::parse(rows[1]).contains("truncated"));
}

TEST_F(Folders, NamesMayBeAnyBytes) {
  add_picture("caf\xe9 1.png");
  add_picture("\xc3\xa4 \"2\".png");
  const CommandResult text_result = caption({photos()});
  ASSERT_EQ(text_result.exit_code, 0) << text_result.errors;
  EXPECT_THAT(text_result.output, HasSubstr(photos("caf\xe9 1.png") + "\t"));
  const std::vector<std::string> rows = lines_of(caption({photos(), "--format", "jsonl"}).output);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_THAT(nlohmann::json::parse(rows[0]).at("path_bytes").get<std::string>(), EndsWith("caf%E9%201.png"));
  EXPECT_EQ(nlohmann::json::parse(rows[1]).at("path"), photos("\xc3\xa4 \"2\".png"));
  EXPECT_EQ(caption({photos(), "--format", "sidecar"}).exit_code, 0);
  EXPECT_TRUE(fs::exists(photos("caf\xe9 1.txt")));
  const CommandResult csv = caption({photos(), "--format", "csv"});
  EXPECT_EQ(csv.exit_code, 3);
  EXPECT_THAT(csv.errors, HasSubstr("caf\uFFFD 1.png: its name is not UTF-8"));
  fs::remove(photos("caf\xe9 1.png"));
  add_picture("two\nlines\x1b.png");
  const std::string log = (folder_.path() / "errors.tsv").string();
  const std::string errors = caption({photos(), "--errors", log}).errors;
  EXPECT_THAT(errors, HasSubstr("a line break in its name"));
  EXPECT_THAT(errors, HasSubstr("two\uFFFDlines\uFFFD.png"));
  EXPECT_THAT(read_text_bytes(log), testing::ContainsRegex("^[^\t\n]*\t[^\t\n]*two%0Alines%1B.png\t[^\t\n]*\n$"));
  EXPECT_EQ(caption({photos(), "--format", "csv"}).exit_code, 0);
}

TEST_F(Folders, FollowsLinksToFilesAndNoneToFolders) {
  add_picture("real/a.png");
  fs::create_symlink("real/a.png", photos("b.png"));
  fs::create_directory_symlink("..", photos("real/loop"));
  const CommandResult result = caption({photos(), "--recursive"});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  const std::vector<std::string> rows = lines_of(result.output);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_THAT(rows[0], StartsWith(photos("b.png") + "\t"));
  EXPECT_THAT(rows[1], StartsWith(photos("real/a.png") + "\t"));
}

TEST_F(Folders, PicturesWithTheSameSidecarDoNotMix) {
  add_picture("a.png");
  add_picture("a.jpeg");  // by content a PNG
  const CommandResult result = caption({photos(), "--format", "sidecar"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.errors, HasSubstr("a.png: its text file would be that of " + photos("a.jpeg")));
  EXPECT_EQ(text("a.txt"), caption({photos("a.jpeg")}).output);
}

TEST_F(Folders, ReadsListsOfPaths) {
  add_picture("a.png");
  add_picture("b.png");
  const std::string expected = caption({photos()}).output;
  const auto list = folder_.write("list", "\xef\xbb\xbf" + photos("a.png") + "\r\n\n" + photos("b.png"));
  EXPECT_EQ(caption({"--files-from", list.string()}).output, expected);
  const std::string nul = photos("a.png") + std::string(1, '\0') + photos("b.png") + std::string(1, '\0');
  EXPECT_EQ(caption({"--files-from", "-"}, nul).output, expected);
  EXPECT_EQ(caption({"-", "--files-from", "-"}).exit_code, 2);
  EXPECT_EQ(caption({"--files-from", photos("none")}).exit_code, 1);
  EXPECT_EQ(caption({"--files-from", "-"}, "\n").exit_code, 0);
  // Once named is enough.
  EXPECT_EQ(caption({photos(), "--files-from", list.string()}).output, expected);
}

TEST_F(Folders, SharesAreDisjointCompleteAndTheSameFromAnywhere) {
  for (int i = 0; i < 12; ++i) add_picture("p" + std::to_string(i) + ".png");
  std::multiset<std::string> all;
  for (const char* share : {"1/3", "2/3", "3/3"}) {
    const CommandResult result = caption({photos(), "--shard", share});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    const std::vector<std::string> rows = lines_of(result.output);
    EXPECT_LT(rows.size(), 12u);
    all.insert(rows.begin(), rows.end());
    fs::rename(photos(), folder_.path() / "elsewhere");
    const CommandResult moved = caption({(folder_.path() / "elsewhere").string(), "--shard", share});
    EXPECT_EQ(lines_of(moved.output).size(), rows.size());
    fs::rename(folder_.path() / "elsewhere", photos());
  }
  const std::vector<std::string> expected = lines_of(caption({photos()}).output);
  EXPECT_EQ(all, std::multiset<std::string>(expected.begin(), expected.end()));
  for (const char* wrong : {"0/3", "4/3", "1", "1/", "a/b", "1/3/4", "-1/3"})
    EXPECT_EQ(caption({photos(), "--shard", wrong}).exit_code, 2) << wrong;
}

TEST_F(Folders, CaptionsThePicturesInTarFiles) {
  fs::create_directories(photos());
  write("shard-000.tar", tar_file({{"./a.png", picture(0)}, {"a.json", "{}"}, {"b.png", "no picture"}}));
  write("shard-001.tar", tar_file({{"c.d.png", "of another kind"}, {"e.png", picture(2)}}));
  const CommandResult result = caption({photos(), "--format", "jsonl"});
  EXPECT_EQ(result.exit_code, 3);
  const std::vector<std::string> rows = lines_of(result.output);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(nlohmann::json::parse(rows[0]).at("path"), photos("shard-000.tar/a.png"));
  EXPECT_EQ(nlohmann::json::parse(rows[1]).at("path"), photos("shard-001.tar/e.png"));
  EXPECT_THAT(result.errors, HasSubstr("shard-000.tar: b.png: not a JPEG, PNG or WebP"));
  EXPECT_EQ(caption({photos("shard-001.tar")}).output, caption({photos("shard-001.tar"), "--recursive"}).output);
  EXPECT_EQ(caption({photos("shard-001.tar"), "--format", "sidecar"}).exit_code, 2);
  const std::string whole =
      tar_file({{"my.photo.2024.png", picture(0)}, {"caf\xe9.png", picture(1)}, {"b.gif", "GIF8"}});
  write("CUT.TAR", whole.substr(0, whole.size() - 1300));
  const CommandResult cut = caption({photos("CUT.TAR")});
  EXPECT_EQ(cut.exit_code, 3);
  EXPECT_EQ(lines_of(cut.output).size(), 2u);
  EXPECT_THAT(cut.errors, HasSubstr("CUT.TAR: the tar file ends without"));
  add_picture("preview.png");
  const CommandResult beside = caption({photos()});
  EXPECT_EQ(beside.exit_code, 0);
  EXPECT_THAT(beside.errors, HasSubstr("captioned 1, skipped 0, failed 0"));
  EXPECT_THAT(beside.errors, HasSubstr("passed over 3 .tar"));
}

TEST_F(Folders, FailsBeforeTheFirstPictureWhereItWouldFailLater) {
  add_picture("cat.png");
  const std::string nowhere = (folder_.path() / "nowhere/out.txt").string();
  const CommandResult file = caption({photos(), "-o", nowhere});
  EXPECT_EQ(file.exit_code, 1);
  EXPECT_THAT(file.errors, HasSubstr(nowhere));
  write("occupied", "");
  EXPECT_EQ(caption({photos(), "--format", "sidecar", "--sidecar-dir", photos("occupied")}).exit_code, 1);
  EXPECT_EQ(caption({photos(), "--errors", nowhere}).exit_code, 1);
  for (const std::vector<std::string>& options : {std::vector<std::string>{"--format", "coco"},
                                                  {"--format", "coco", "-o", photos("x.json")},
                                                  {"--format", "text,jsonl"},
                                                  {"--format", "sidecar", "-o", photos("x")},
                                                  {"--sidecar-dir", photos("x")},
                                                  {"--existing", "append"},
                                                  {"--format", "sidecar", "--sidecar-extension", "PNG"},
                                                  {"--format", "csv", "--trace"},
                                                  {"--format", "sidecar", "--all"},
                                                  {"--format", "sidecar", "--trace"},
                                                  {"--prefix", "\xff"},
                                                  {"--format", "xml"}}) {
    std::vector<std::string> arguments = options;
    arguments.push_back(photos());
    const CommandResult result = caption(arguments);
    EXPECT_EQ(result.exit_code, 2) << options[1] << result.errors;
    EXPECT_THAT(result.errors, Not(HasSubstr("captioned"))) << options[1];
  }
  EXPECT_EQ(read_text_bytes(photos("cat.png")), picture(0));
}

TEST_F(Folders, SaysWhatItPassesOver) {
  write("IMG_1.HEIC", "");
  write("a.gif", "GIF8");
  write("notes.txt", "");
  const CommandResult none = caption({photos()});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_THAT(none.errors, HasSubstr("but 1 .gif, 1 .heic"));
  add_picture("b.jfif");
  add_picture("c.JPE");
  const CommandResult result = caption({photos()});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_EQ(lines_of(result.output).size(), 2u);
  EXPECT_THAT(result.errors, HasSubstr("; passed over 1 .gif, 1 .heic\n"));
}

TEST_F(Folders, CocoTakesEveryPictureThatHasANumberOfItsOwn) {
  const std::string out = (folder_.path() / "out.json").string();
  for (const char* name : {"1.png", "sub/1.png", "2.png", "beach.png"}) add_picture(name);
  const CommandResult result = caption({photos(), "--recursive", "--format", "coco", "-o", out});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.errors, HasSubstr("beach.png: there is no image id in its name"));
  EXPECT_THAT(result.errors, HasSubstr("sub/1.png: it has the image id of " + photos("1.png")));
  EXPECT_EQ(nlohmann::json::parse(read_text_bytes(out)).size(), 2u);
}

TEST_F(Folders, PicturesThatShareASidecarDoSoInEveryShare) {
  for (int i = 0; i < 8; ++i)
    for (const char* extension : {".jpeg", ".jpg"}) add_picture("p" + std::to_string(i) + extension);
  std::size_t failed = 0;
  for (const char* share : {"1/2", "2/2"}) {
    const std::string errors = caption({photos(), "--format", "sidecar", "--shard", share}).errors;
    EXPECT_THAT(errors, HasSubstr("skipped 0"));
    for (std::size_t at = 0; (at = errors.find("its text file would be that of", at)) != std::string::npos; ++at)
      ++failed;
  }
  EXPECT_EQ(failed, 8u);
}

TEST_F(Folders, RowsOnStandardOutputAreOfWhatIsCaptioned) {
  add_picture("a.png");
  add_picture("b.png");
  write("a.txt", "mine\n");
  const std::vector<std::string> command{photos(), "--format", "sidecar,jsonl"};
  const CommandResult result = caption(command);
  EXPECT_THAT(result.errors, HasSubstr("captioned 1, skipped 1"));
  ASSERT_EQ(lines_of(result.output).size(), 1u);
  EXPECT_EQ(nlohmann::json::parse(result.output).at("path"), photos("b.png"));
  EXPECT_EQ(caption(command).output, "");
}

TEST_F(Folders, EveryCandidateHasThePrefix) {
  add_picture("a.png");
  const std::vector<std::string> common{photos("a.png"), "--all", "--candidates", "3", "--prefix", "photo: "};
  for (const char* format : {"text", "csv", "jsonl"}) {
    std::vector<std::string> arguments = common;
    arguments.insert(arguments.end(), {"--format", format});
    const std::string output = caption(arguments).output;
    std::size_t count = 0;
    for (std::size_t at = 0; (at = output.find("photo: ", at)) != std::string::npos; ++at) ++count;
    EXPECT_EQ(count, std::string(format) == "text" ? 3u : 4u) << output;
  }
}

}  // namespace
}  // namespace capdiff::test
