#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "capdiff/backends/backend.h"
#include "capdiff/backends/processor.h"
#include "capdiff/base/files.h"
#include "capdiff/formats/safetensors.h"
#include "tests/support/command.h"
#include "tests/support/own_clip.h"
#include "tests/support/tar_file.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_model.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const fs::path kOther = fs::path(CAPDIFF_SOURCE_DIR) / "tests/data/ladic_tiny/image.png";

/// The real program, a tiny model and a folder of pictures.
class CommandLine : public testing::Test {
 protected:
  void SetUp() override {
    write_tiny_model(model_);
    fs::create_directories(photos_);
    fs::copy_file(kScene, photos_ / "b.png");
    fs::copy_file(kOther, photos_ / "a.png");
  }

  CommandResult caption(std::vector<std::string> arguments, const std::string& input = "") const {
    arguments.insert(arguments.begin(), {"caption", "-m", model_.string()});
    return run_capdiff(arguments, input);
  }

  /// Expects exit code 1, nothing on standard output, and an error that names `file` and says `reason`.
  void expect_refused(const fs::path& file, const std::string& reason) const {
    const CommandResult result = caption({file.string()});
    EXPECT_EQ(result.exit_code, 1) << file;
    EXPECT_EQ(result.output, "") << file;
    EXPECT_THAT(result.errors, HasSubstr(file.string()));
    EXPECT_THAT(result.errors, HasSubstr(reason));
  }

  TemporaryFolder folder_;
  fs::path model_ = folder_.path() / "model";
  fs::path photos_ = folder_.path() / "photos";
};

TEST_F(CommandLine, PrintsTheBareCaptionOfOneFile) {
  const CommandResult result = caption({kScene.string()});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_EQ(std::ranges::count(result.output, '\n'), 1);
  EXPECT_EQ(result.output.find('\t'), std::string::npos);
  EXPECT_EQ(caption({"-"}, read_text_bytes(kScene)).output, result.output);
}

TEST_F(CommandLine, SaysInWhichArithmeticItCaptioned) {
  for (const DType compute : {DType::f32, DType::bf16, DType::i8}) {
    const CommandResult result =
        caption({kScene.string(), "--format", "jsonl", "--dtype", std::string(compute_name(compute))});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    const DType in_force = make_onednn_backend({.compute = compute})->options().compute;
    EXPECT_EQ(nlohmann::json::parse(result.output).at("dtype"), compute_name(in_force));
  }
}

TEST_F(CommandLine, PrintsPathAndCaptionOfAFolderInOrder) {
  const std::string a = caption({(photos_ / "a.png").string()}).output;
  const std::string b = caption({(photos_ / "b.png").string()}).output;
  const CommandResult result = caption({photos_.string()});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_EQ(result.output, (photos_ / "a.png").string() + "\t" + a + (photos_ / "b.png").string() + "\t" + b);
}

TEST_F(CommandLine, WritesJsonLines) {
  const CommandResult result = caption({kScene.string(), "--format", "jsonl", "--candidates", "3", "--seed", "5"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  const nlohmann::json line = nlohmann::json::parse(result.output);
  EXPECT_EQ(line.at("path"), kScene.string());
  EXPECT_EQ(line.at("candidates").size(), 3u);
  EXPECT_EQ(line.at("caption"), line.at("candidates")[0].at("text"));
  EXPECT_EQ(line.at("steps"), 5);
  EXPECT_EQ(line.at("guidance"), 1.0);
  EXPECT_GE(line.at("seconds").get<double>(), 0.0);
}

TEST_F(CommandLine, ListsTheMostRelevantCandidatesFirst) {
  write_own_clip(folder_.path() / "clip");
  const std::string clip = (folder_.path() / "clip").string();
  const auto lines = [&](const std::string& selection, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{kScene.string(), "--candidates", "6", "--select", selection, "--all"};
    if (selection == "clip") arguments.insert(arguments.end(), {"--clip", clip});
    arguments.insert(arguments.end(), more.begin(), more.end());
    const CommandResult result = caption(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    return result.output;
  };
  for (const std::string selection : {"first", "mbr", "clip"}) {
    std::istringstream text(lines(selection));
    std::vector<std::string> captions;
    std::vector<double> relevances;
    for (std::string line; std::getline(text, line);) {
      const std::size_t tab = line.find('\t');
      ASSERT_NE(tab, std::string::npos) << line;
      captions.push_back(line.substr(0, tab));
      EXPECT_EQ(line.size() - line.rfind('.'), 5u) << line;
      relevances.push_back(std::stod(line.substr(tab + 1)));
    }
    ASSERT_EQ(captions.size(), 6u);
    EXPECT_TRUE(std::ranges::is_sorted(relevances, std::greater<>())) << selection;
    const nlohmann::json json = nlohmann::json::parse(lines(selection, {"--format", "jsonl"}));
    EXPECT_EQ(json.at("candidates")[0].at("text"), captions[0]);
    EXPECT_EQ(json.at("candidates")[0].contains("relevance"), selection != "first");
    if (selection != "first") EXPECT_EQ(json.at("caption"), captions[0]);
  }
  // A random model says much the same again and again.
  const std::string distinct = lines("mbr", {"--distinct", "0.01"});
  EXPECT_LT(std::ranges::count(distinct, '\n'), 6);
  EXPECT_TRUE(lines("mbr").starts_with(distinct.substr(0, distinct.find('\n'))));
  EXPECT_EQ(caption({kScene.string(), "--distinct", "0.5"}).exit_code, 2);
}

TEST_F(CommandLine, ChoosingByClipNeedsOne) {
  const std::string nowhere = (folder_.path() / "nowhere").string();
  const CommandResult result = caption({kScene.string(), "--select", "clip", "--clip", nowhere});
  EXPECT_NE(result.exit_code, 0);
  EXPECT_THAT(result.errors, HasSubstr(nowhere));
}

TEST_F(CommandLine, WritesAFileOnlyWhenAllIsDone) {
  const fs::path output = folder_.path() / "captions.txt";
  const CommandResult result = caption({kScene.string(), "-o", output.string()});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_EQ(result.output, "");
  EXPECT_EQ(read_text_bytes(output), caption({kScene.string()}).output);
}

TEST_F(CommandLine, RefusesWhatIsNoPicture) {
  const std::string png = read_text_bytes(kScene);
  std::ofstream(photos_ / "cut.png", std::ios::binary) << png.substr(0, png.size() / 2);
  std::ofstream(photos_ / "text.jpg") << "this is a letter to my aunt\n";
  std::ofstream(photos_ / "empty.jpg");
  fs::create_directory(folder_.path() / "nothing");
  expect_refused(photos_ / "cut.png", "cut.png");
  expect_refused(photos_ / "text.jpg", "not a JPEG, PNG or WebP");
  expect_refused(photos_ / "empty.jpg", "empty");
  expect_refused(folder_.path() / "missing.jpg", "missing.jpg");
  expect_refused(folder_.path() / "nothing", "no pictures");
}

TEST_F(CommandLine, CaptionsTheOthersAndSaysThatSomeFailed) {
  const CommandResult alone = caption({photos_.string()});
  std::ofstream(photos_ / "aa.jpg") << "not a picture";
  const CommandResult result = caption({photos_.string()});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.output, alone.output);
  EXPECT_THAT(result.errors, HasSubstr("aa.jpg"));
}

TEST_F(CommandLine, RefusesBrokenModels) {
  const auto refused = [&](const std::string& file, const std::string& reason) {
    const CommandResult result = caption({kScene.string()});
    EXPECT_EQ(result.exit_code, 1) << reason;
    EXPECT_EQ(result.output, "") << reason;
    EXPECT_THAT(result.errors, HasSubstr(file));
    EXPECT_THAT(result.errors, HasSubstr(reason));
  };
  const fs::path weights = model_ / "model.safetensors";
  const SafetensorsFile original = SafetensorsFile::open(weights);
  std::map<std::string, HostTensor> tensors;
  for (const std::string& name : original.names()) tensors.emplace(name, original.tensor(name));

  std::map<std::string, HostTensor> poisoned = tensors;
  HostTensor nan(DType::f32, poisoned.at("time_layer_norm.bias").shape());
  std::ranges::fill(nan.mutable_values<float>(), std::numeric_limits<float>::quiet_NaN());
  poisoned.at("time_layer_norm.bias") = nan;
  write_safetensors(weights, poisoned);
  refused("model.safetensors", "time_layer_norm.bias");

  std::map<std::string, HostTensor> fewer = tensors;
  fewer.erase("diffuser.encoder.layer.0.output.dense.weight");
  write_safetensors(weights, fewer);
  refused("model.safetensors", "diffuser.encoder.layer.0.output.dense.weight");

  write_safetensors(weights, tensors);
  fs::resize_file(weights, fs::file_size(weights) / 2);
  refused("model.safetensors", "model.safetensors");

  fs::remove(weights);
  refused("model.safetensors", "model.safetensors");
}

TEST_F(CommandLine, ExplainsWrongUsage) {
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{},
                                                    {"capton"},
                                                    {"caption"},
                                                    {"caption", "x.jpg", "--stepps", "3"},
                                                    {"caption", "x.jpg", "--steps", "0"},
                                                    {"caption", "x.jpg", "--dtype", "f7"},
                                                    {"serve", "--port", "none"}}) {
    const CommandResult result = run_capdiff(arguments);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(result.output, "");
    EXPECT_NE(result.errors, "");
  }
  EXPECT_THAT(run_capdiff({"--version"}).output, StartsWith("capdiff "));
  EXPECT_THAT(run_capdiff({"caption", "--help"}).output, HasSubstr("--steps"));
}

TEST_F(CommandLine, AnOptionThatTheModelDoesNotHaveIsNoFaultOfThePictures) {
  const CommandResult result = caption({kScene.string(), kScene.string(), "--clamp", "hard"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.errors, StartsWith("capdiff: --clamp: LaDiC's latents"));
  EXPECT_THAT(result.errors, Not(HasSubstr("failed")));
}

TEST_F(CommandLine, TakesOptionsFromAFile) {
  std::ofstream(folder_.path() / "options.toml") << "steps = 3\nguidance = 0.5\nformat = \"jsonl\"\n";
  const CommandResult result = caption({kScene.string(), "--config", (folder_.path() / "options.toml").string()});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  const nlohmann::json line = nlohmann::json::parse(result.output);
  EXPECT_EQ(line.at("steps"), 3);
  EXPECT_EQ(line.at("guidance"), 0.5);
  EXPECT_EQ(
      nlohmann::json::parse(
          caption({kScene.string(), "--steps", "2", "--config", (folder_.path() / "options.toml").string()}).output)
          .at("steps"),
      2);
  EXPECT_THAT(caption({kScene.string(), "--steps", "4", "--dump-config"}).output, HasSubstr("steps=4"));
  std::ofstream(folder_.path() / "wrong.toml") << "stepps = 3\n";
  const CommandResult wrong = caption({kScene.string(), "--config", (folder_.path() / "wrong.toml").string()});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.errors, HasSubstr("steps"));
  const auto both = folder_.write("both.toml", "fast = true\nbest = true\n");
  EXPECT_THAT(caption({kScene.string(), "--config", both.string()}).errors, HasSubstr("do not go together"));
  const auto one = folder_.write("one.toml", "fast = true\nbest = false\n");
  EXPECT_EQ(caption({kScene.string(), "--config", one.string()}).exit_code, 0);
}

TEST_F(CommandLine, TakesTheOptionsThatItHasPrinted) {
  const CommandResult dumped = caption({kScene.string(), "--steps", "4", "--prefix", "", "--dump-config"});
  const auto file = folder_.write("dumped.toml", dumped.output);
  const CommandResult result = caption({kScene.string(), "--format", "jsonl", "--config", file.string()});
  EXPECT_EQ(result.exit_code, 0) << result.errors << dumped.output;
  EXPECT_THAT(result.output, HasSubstr("\"steps\":4"));
  EXPECT_THAT(dumped.output, Not(HasSubstr("back-share")));
}

TEST_F(CommandLine, HelpsOnWhereTheMistakeIs) {
  const CommandResult command = run_capdiff({"captoin", kScene.string()});
  EXPECT_EQ(command.exit_code, 2);
  EXPECT_THAT(command.errors, HasSubstr("did you mean \"caption\"?"));
  EXPECT_THAT(run_capdiff({"caption", "--stepps", "3"}).errors, HasSubstr("'capdiff caption --help'"));
  EXPECT_THAT(run_capdiff({"--nothing"}).errors, HasSubstr("'capdiff --help'"));
}

TEST_F(CommandLine, ListsTensors) {
  const CommandResult result = run_capdiff({"info", model_.string(), "--json", "--hash"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  const nlohmann::json tensors = nlohmann::json::parse(result.output).at("tensors");
  const auto mean = std::ranges::find_if(tensors, [](const auto& tensor) { return tensor.at("name") == "mean"; });
  ASSERT_NE(mean, tensors.end());
  EXPECT_EQ(mean->at("dtype"), "F32");
  EXPECT_EQ(mean->at("shape"), (nlohmann::json{32}));
  EXPECT_EQ(mean->at("sha256").get<std::string>().size(), 64u);
}

TEST_F(CommandLine, EvaluatesASplit) {
  nlohmann::json dataset{{"dataset", "toy"}, {"images", nlohmann::json::array()}};
  for (const auto& [id, name] : {std::pair{3, "a.png"}, {9, "b.png"}})
    dataset["images"].push_back(
        {{"imgid", id},
         {"filename", name},
         {"split", "val"},
         {"sentences", {{{"raw", "a man riding a horse on the beach"}}, {{"raw", "two dogs"}}}}});
  std::ofstream(folder_.path() / "dataset.json") << dataset;
  const fs::path results = folder_.path() / "results.json";
  const CommandResult result =
      run_capdiff({"evaluate", "-m", model_.string(), "--dataset", (folder_.path() / "dataset.json").string(),
                   "--images", photos_.string(), "--split", "val", "-o", results.string(), "--json", "--candidates",
                   "2", "--metrics", "bleu,rouge-l,cider-d,dist", "--by-length"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  const nlohmann::json report = nlohmann::json::parse(result.output);
  for (const char* metric : {"BLEU-1", "BLEU-4", "ROUGE-L", "CIDEr-D", "Dist-1", "Self-CIDEr"})
    EXPECT_TRUE(report.at("corpus").contains(metric));
  EXPECT_TRUE(report.at("per_image").contains("9"));
  EXPECT_EQ(report.at("by_length").size(), 1u);
  EXPECT_EQ(report.at("images"), 2);
  EXPECT_THAT(report.at("signature").get<std::string>(), HasSubstr("tokenizer ptb"));
  const nlohmann::json captions = nlohmann::json::parse(read_text_bytes(results));
  EXPECT_EQ(captions.size(), 2u);
  EXPECT_EQ(captions[0].at("image_id"), 3);
  EXPECT_EQ(captions[0].at("caption").get<std::string>() + "\n", caption({(photos_ / "a.png").string()}).output);
}

TEST_F(CommandLine, EvaluatesByTheNumberOfCandidates) {
  for (const char* name : {"a.txt", "b.txt"}) std::ofstream(photos_ / name) << "two dogs\na man on the beach\n";
  write_own_clip(folder_.path() / "clip");
  const auto evaluate = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"evaluate", "-m", model_.string(), "--dataset", photos_.string(), "--split", "train",
                               "--metrics", "bleu,cider-d", "--by-candidates", "1,3"});
    return run_capdiff(more);
  };
  const std::string clip = (folder_.path() / "clip").string();
  const CommandResult result = evaluate({"--json", "--select", "clip", "--clip", clip});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  const nlohmann::json report = nlohmann::json::parse(result.output);
  const nlohmann::json& groups = report.at("by_candidates");
  ASSERT_EQ(groups.size(), 4u);
  EXPECT_EQ(groups[0].at("candidates"), 1);
  EXPECT_EQ(groups[3].at("selection"), "clip");
  // The report itself is of the selection among the largest number.
  EXPECT_EQ(groups[3].at("CIDEr-D"), report.at("corpus").at("CIDEr-D"));
  EXPECT_GE(groups[3].at("CLIP"), groups[1].at("CLIP"));
  EXPECT_GE(groups[1].at("Words"), groups[0].at("Words"));
  EXPECT_TRUE(groups[1].contains("Seconds") && !groups[0].contains("Seconds"));
  EXPECT_THAT(report.at("signature").get<std::string>(), HasSubstr("choosing clip clip"));
  EXPECT_THAT(evaluate({"--clip", clip}).output, HasSubstr("candidates selection"));
  EXPECT_EQ(evaluate({"--candidates", "4"}).exit_code, 2);
  EXPECT_EQ(evaluate({"--csv"}).exit_code, 2);
}

TEST_F(CommandLine, EvaluatesAFolderAndTheSameInATarFile) {
  for (const char* name : {"a.txt", "b.txt"}) std::ofstream(photos_ / name) << "two dogs\na man on the beach\n";
  const auto shard =
      folder_.write("val.tar", tar_file({{"a.txt", "two dogs\na man on the beach"},
                                         {"a.png", read_text_bytes(photos_ / "a.png")},
                                         {"b.png", read_text_bytes(photos_ / "b.png")},
                                         {"b.json", R"({"caption": ["two dogs", "a man on the beach"]})"}}));
  const auto evaluate = [&](const fs::path& dataset, const std::string& split) {
    const CommandResult result = run_capdiff({"evaluate", "-m", model_.string(), "--dataset", dataset.string(),
                                              "--split", split, "--metrics", "bleu,cider-d", "--json"});
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    return nlohmann::json::parse(result.output);
  };
  const nlohmann::json folder = evaluate(photos_, "train"), tar = evaluate(shard, "val");
  EXPECT_EQ(folder.at("images"), 2);
  EXPECT_EQ(folder.at("per_image"), tar.at("per_image"));
}

TEST_F(CommandLine, FillsBlanks) {
  const auto fill = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"fill", "-m", model_.string(), kScene.string()});
    return run_capdiff(arguments);
  };
  const CommandResult two = fill({"a [MASK] on the beach", "two [UNK:1-2] play"});
  ASSERT_EQ(two.exit_code, 0) << two.errors;
  EXPECT_THAT(two.output, testing::MatchesRegex("a [^ ]+ on the beach\ntwo [^ ]+( [^ ]+)? play\n"));
  const nlohmann::json line =
      nlohmann::json::parse(fill({"two [MASK:1-2] play", "--format", "jsonl", "--trace"}).output);
  EXPECT_EQ(line.at("candidates").size(), 2u);
  EXPECT_EQ(line.at("trace").size(), line.at("steps"));
  EXPECT_THAT(fill({"[MASK] and [MASK]"}).output, testing::MatchesRegex("[a-z]+ and [a-z]+\n"));
  std::ofstream(folder_.path() / "blanks.toml") << "SENTENCE = [\"[MASK], or [MASK]\"]\n";
  EXPECT_THAT(fill({"--config", (folder_.path() / "blanks.toml").string()}).output,
              testing::MatchesRegex("[a-z]+, or [a-z]+\n"));
  EXPECT_EQ(fill({"no blank"}).exit_code, 2);
  EXPECT_EQ(fill({"[MASK:4-2]"}).exit_code, 2);
  EXPECT_EQ(fill({}).exit_code, 2);
}

TEST_F(CommandLine, FindsFoldersWithBracketsInTheirNames) {
  const fs::path folder = folder_.path() / "[2020]";
  fs::create_directories(folder);
  fs::copy_file(kScene, folder / "a.png");
  const fs::path before = fs::current_path();
  fs::current_path(folder_.path());
  const CommandResult result = caption({"[2020]"});
  fs::current_path(before);
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_THAT(result.output, StartsWith("[2020]/a.png\t"));
}

TEST_F(CommandLine, RunsPrefixDiffusionLikeLadic) {
  const fs::path prefix = folder_.path() / "prefix";
  write_tiny_prefix_model(prefix);
  const auto run = [&](const std::string& command, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {command, "-m", prefix.string()});
    return run_capdiff(arguments);
  };
  EXPECT_EQ(run("caption", {kScene.string(), "--clamp", "soft", "--clamp-from", "0.5"}).exit_code, 0);
  EXPECT_THAT(run("caption", {kScene.string(), "--length", "4"}).output,
              testing::MatchesRegex("[a-z]+ [a-z]+ [a-z]+ [a-z]+\n"));
  EXPECT_THAT(run("fill", {kScene.string(), "A Zebra [MASK] the beach!"}).output,
              testing::MatchesRegex("A Zebra [a-z]+ the beach!\n"));
  const CommandResult traced = run("caption", {kScene.string(), "--trace", "--reference", "two red"});
  EXPECT_EQ(std::ranges::count(traced.output, '\n'), 1 + 6) << traced.errors;

  for (const char* name : {"a", "b"}) std::ofstream(photos_ / (std::string(name) + ".txt")) << "a man rides\n";
  const CommandResult aligned = run("alignment", {"--dataset", photos_.string(), "--split", "train", "--json"});
  ASSERT_EQ(aligned.exit_code, 0) << aligned.errors;
  EXPECT_EQ(nlohmann::json::parse(aligned.output).at("own").at("count"), 2);

  EXPECT_THAT(caption({kScene.string(), "--clamp", "hard"}).errors, HasSubstr("no table of words"));
  EXPECT_EQ(run_capdiff({"alignment", "-m", model_.string(), "--dataset", photos_.string()}).exit_code, 1);
}

TEST_F(CommandLine, ShowsHowACaptionCameAbout) {
  const CommandResult plain = caption({kScene.string(), "--back-refine"});
  const CommandResult traced = caption({kScene.string(), "--back-refine", "--trace", "--reference", "two dogs"});
  ASSERT_EQ(traced.exit_code, 0) << traced.errors;
  EXPECT_THAT(traced.output, testing::EndsWith(plain.output));
  EXPECT_EQ(std::ranges::count(traced.output, '\n'), 1 + 9);  // 5 steps, 4 of them before it goes back
  EXPECT_THAT(traced.output, HasSubstr("mse="));
  const fs::path drawing = folder_.path() / "trace.svg";
  EXPECT_EQ(caption({kScene.string(), "--trace-svg", drawing.string()}).exit_code, 0);
  EXPECT_THAT(read_text_bytes(drawing), StartsWith("<svg "));
  EXPECT_EQ(caption({photos_.string(), "--trace-svg", drawing.string()}).exit_code, 2);
  EXPECT_EQ(caption({kScene.string(), "--reference", "two dogs"}).exit_code, 2);
}

TEST_F(CommandLine, DrawsCaptionsInManyWays) {
  for (const std::vector<std::string>& options : {std::vector<std::string>{"--fast"},
                                                  {"--best"},
                                                  {"--sampler", "renoise"},
                                                  {"--sampler", "dpm-solver", "--steps", "12"},
                                                  {"--eta", "0.5"},
                                                  {"--guidance-interval", "0.1", "0.9"},
                                                  {"--min-confidence", "0.4"},
                                                  {"--candidates", "3", "--select", "mbr", "--mbr-utility", "cider-d"},
                                                  {"--length", "3"}}) {
    std::vector<std::string> arguments = options;
    arguments.push_back(kScene.string());
    const CommandResult result = caption(arguments);
    EXPECT_EQ(result.exit_code, 0) << options[0] << result.errors;
    EXPECT_EQ(std::ranges::count(result.output, '\n'), 1) << options[0];
  }
  EXPECT_EQ(std::ranges::count(caption({kScene.string(), "--length", "3"}).output, ' '), 2);
  EXPECT_EQ(caption({kScene.string(), "--fast", "--best"}).exit_code, 2);
  EXPECT_EQ(caption({kScene.string(), "--length", "300"}).exit_code, 2);
}

}  // namespace
}  // namespace capdiff::test
