#include "capdiff/evaluation/spice.h"

#include <cstdlib>

#include "capdiff/metrics/caption_tokens.h"
#include "tests/support/command.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff {
namespace {

using test::expect_error;
using testing::HasSubstr;

/// A folder with a program `java` of this test, which PATH or $JAVA_HOME then has.
class Spice : public testing::Test {
 protected:
  Spice() {
    std::filesystem::create_directories(folder_.path() / "home" / "bin");
    options_.jar = folder_.write("spice-1.0.jar", "a jar");
    if (const char* home = std::getenv("JAVA_HOME")) java_home_ = home;
    ::setenv("JAVA_HOME", (folder_.path() / "home").c_str(), 1);
  }
  ~Spice() override {
    if (java_home_)
      ::setenv("JAVA_HOME", java_home_->c_str(), 1);
    else
      ::unsetenv("JAVA_HOME");
  }

  /// `version` is what `java -version` prints, `body` what the program does otherwise; its arguments go to a file.
  void write_java(const std::string& version, const std::string& body) {
    const auto program =
        folder_.write("home/bin/java", "#!/bin/sh\nhere='" + folder_.path().string() +
                                           "'\nif [ \"$1\" = -version ]; then\n  echo '" + version +
                                           "' >&2\n  exit 0\nfi\nprintf '%s\\n' \"$@\" >\"$here/arguments\"\n"
                                           "pwd >\"$here/folder\"\n" +
                                           body);
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  }
  /// Finds the input and output files among the arguments.
  static constexpr const char* kFindFiles =
      "while [ \"$1\" != -jar ]; do shift; done\nin=$3\nout=$5\ncp \"$in\" \"$here/input\"\n";

  MetricScores score() const {
    const WhiteSpaceTokenizer tokenizer;
    const auto words = tokenize_images(captions_, tokenizer);
    return make_spice_metric(options_)->score({captions_, words, tokenizer});
  }

  test::TemporaryFolder folder_;
  SpiceOptions options_;
  std::optional<std::string> java_home_;
  std::vector<EvaluatedCaption> captions_{{"7", "a  \"dog\"", {"a dog", "the dog"}}, {"8", "", {"a cat"}}};
};

TEST_F(Spice, RunsTheProgramAndReadsItsScores) {
  write_java("openjdk version \"17.0.15\" 2025-04-15",
             std::string(kFindFiles) +
                 "cat >\"$out\" <<'END'\n"
                 "[{\"image_id\":1,\"test\":\"\",\"scores\":{\"All\":{\"f\":null,\"pr\":0,\"re\":0},\"Size\":{}}},\n"
                 " {\"image_id\":0,\"scores\":{\"All\":{\"f\":0.5,\"pr\":0.75,\"re\":0.25,\"fn\":1,\"numImages\":1}}}]"
                 "\nEND\n");
  options_.memory = "2G";
  const MetricScores scores = score();
  ASSERT_EQ(scores.columns.size(), 3u);
  EXPECT_EQ(scores.columns[0].name, "SPICE");
  EXPECT_EQ(scores.columns[0].per_image[0], 0.5);
  EXPECT_EQ(scores.columns[0].corpus, 0.5);
  EXPECT_EQ(scores.columns[1].corpus, 0.375);
  EXPECT_EQ(scores.columns[2].corpus, 0.125);
  EXPECT_EQ(
      test::read_text_bytes(folder_.path() / "input"),
      R"([{"image_id":0,"refs":["a dog","the dog"],"test":"a \"dog\""},{"image_id":1,"refs":["a cat"],"test":""}])");
  const std::string arguments = test::read_text_bytes(folder_.path() / "arguments");
  EXPECT_THAT(arguments, testing::StartsWith("-Xmx2G\n--add-opens\njava.base/java.lang=ALL-UNNAMED\n"));
  EXPECT_THAT(arguments, HasSubstr("-jar\n" + options_.jar.string() + "\n"));
  EXPECT_EQ(test::read_text_bytes(folder_.path() / "folder"), folder_.path().string() + "\n");
}

TEST_F(Spice, OldJavaGetsNoNewOptions) {
  write_java("java version \"1.8.0_292\"", std::string(kFindFiles) + "echo '[]' >\"$out\"\n");
  expect_error(ErrorCode::unsupported, "no score of 2 images", [&] { score(); });
  EXPECT_THAT(test::read_text_bytes(folder_.path() / "arguments"), testing::StartsWith("-Xmx8G\n-jar\n"));
}

TEST_F(Spice, SaysWhatWentWrong) {
  const auto expect_failure = [&](const std::string& part, const std::string& body) {
    write_java("openjdk version \"17\"", body);
    expect_error(ErrorCode::unsupported, part, [&] { score(); });
  };
  expect_failure("exit code 3: Exception in thread main", "echo 'Exception in thread main'; exit 3\n");
  expect_failure("there is no file", "exit 0\n");
  expect_failure("not valid JSON", std::string(kFindFiles) + "echo '[' >\"$out\"\n");
  expect_failure("\"[0].scores\" is missing", std::string(kFindFiles) + "echo '[{\"image_id\":0}]' >\"$out\"\n");
  expect_failure("\"[0].image_id\" is 2", std::string(kFindFiles) + "echo '[{\"image_id\":2}]' >\"$out\"\n");
  options_.timeout = std::chrono::seconds(1);
  expect_failure("after 1 seconds", "exec sleep 100\n");
  options_.jar = folder_.path() / "nowhere.jar";
  expect_failure("nowhere.jar", "");
}

TEST_F(Spice, NeedsJava) {
  const std::string path = std::getenv("PATH");
  ::setenv("PATH", "/nowhere", 1);
  expect_error(ErrorCode::unsupported, "default-jre-headless", [&] { score(); });
  ::setenv("PATH", path.c_str(), 1);
}

TEST(JavaVersion, OfWhatJavaPrints) {
  EXPECT_EQ(java_version("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime"), 17);
  EXPECT_EQ(java_version("java version \"1.8.0_292\""), 8);
  EXPECT_EQ(java_version("openjdk version \"21\" 2023"), 21);
  EXPECT_EQ(java_version("Picked up JAVA_TOOL_OPTIONS: -X\nopenjdk version \"11.0.2\""), 11);
  EXPECT_EQ(java_version("what?"), 0);
  EXPECT_EQ(java_version(""), 0);
}

}  // namespace
}  // namespace capdiff
