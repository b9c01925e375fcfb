#include <algorithm>
#include <nlohmann/json.hpp>

#include "capdiff/evaluation/verify_kinds.h"
#include "capdiff/formats/json_reader.h"
#include "capdiff/metrics/ptb_tokenizer.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

/// As the metric's code gives a caption to the tokeniser.
std::string in_one_line(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  return text;
}

/// Single strings, each the whole input, or followed by another line.
void verify_strings(const Json& golden, GoldenReport& report) {
  if (golden.empty()) report.fail_check("json.ptb", "there is no case");
  for (std::size_t i = 0; i < golden.size(); ++i) {
    const std::string path = "ptb." + std::to_string(i);
    report.part("json." + path, [&] {
      const Json& example = golden.at(i);
      const std::string text = in_one_line(example.at("text"));
      const Tokens tokens = ptb_tokens(text);
      report.compare_json(path + ".tokens", example.at("tokens"), tokens);
      report.compare_json(path + ".kept", example.at("kept"), without_ptb_punctuation(tokens));
      if (const auto lines = example.find("lines"); lines != example.end())
        report.compare_json(path + ".lines", *lines, ptb_lines(text));
      if (!example.contains("when_followed_by")) return;
      const Json& followers = example.at("when_followed_by");
      for (std::size_t f = 0; f < followers.size(); ++f) {
        const std::string follower = path + ".when_followed_by." + std::to_string(f);
        const std::vector<std::string> captions{text, followers.at(f).at("next")};
        const Tokens followed = ptb_tokens(captions).front();
        report.compare_json(follower + ".tokens", followers.at(f).at("tokens"), followed);
        report.compare_json(follower + ".kept", followers.at(f).at("kept"), without_ptb_punctuation(followed));
      }
    });
  }
}

/// Documents of many lines in one run.
void verify_streams(const Json& golden, GoldenReport& report) {
  if (golden.empty()) report.fail_check("json.ptb_stream", "there is no document");
  for (std::size_t i = 0; i < golden.size(); ++i) {
    const std::string path = "ptb_stream." + std::to_string(i);
    report.part("json." + path, [&] {
      std::vector<std::string> lines;
      for (const Json& line : golden.at(i).at("lines")) lines.push_back(in_one_line(line));
      const std::vector<Tokens> computed = ptb_tokens(lines);
      const Json& tokens = golden.at(i).at("tokens");
      if (tokens.size() != lines.size()) {
        report.compare_json(path + ".tokens", tokens, computed);
        return;
      }
      for (std::size_t line = 0; line < lines.size(); ++line)
        report.compare_json(path + ".tokens." + std::to_string(line), tokens.at(line), computed[line]);
    });
  }
}

}  // namespace

GoldenReport verify_ptb(const fs::path& folder) {
  GoldenReport report;
  verify_strings(read_json(folder / kPtbGoldens), report);
  if (const fs::path streams = folder / "ptb_stream.json"; fs::exists(streams))
    verify_streams(read_json(streams), report);
  return report;
}

}  // namespace capdiff
