#include "capdiff/evaluation/spice.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/base/process.h"
#include "capdiff/formats/json_reader.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxOutputBytes = std::size_t{1} << 30;
constexpr double kNoValue = std::numeric_limits<double>::quiet_NaN();

/// The end of what a program printed, in one printable line.
std::string last_words(const std::string& output) {
  constexpr std::size_t kShown = 300;
  std::string text = output.substr(output.size() - std::min(output.size(), kShown));
  for (char& c : text)
    if (c < ' ' || c > '~') c = ' ';
  return text;
}

std::string java_program() {
  if (const char* home = std::getenv("JAVA_HOME"); home && *home) {
    const fs::path program = fs::path(home) / "bin" / "java";
    std::error_code ignored;
    if (fs::exists(program, ignored)) return program.string();
  }
  return "java";
}

class SpiceMetric final : public CaptionMetric {
 public:
  explicit SpiceMetric(SpiceOptions options) : options_(std::move(options)) {}

  std::vector<std::string> names() const override { return {"SPICE", "SPICE-P", "SPICE-R"}; }

  MetricScores score(const CaptionSet& set) const override {
    const fs::path jar = fs::absolute(options_.jar);
    if (!fs::is_regular_file(jar)) fail(ErrorCode::unsupported, "SPICE: there is no file {}", jar.string());
    const std::string java = java_program();
    const auto version = run_process({java, "-version"}, {}, std::chrono::minutes(1));
    if (!version)
      fail(ErrorCode::unsupported,
           "SPICE needs Java, which neither $JAVA_HOME nor PATH has; install default-jre-headless, or point $JAVA_HOME "
           "to it");
    const PrivateFolder folder;
    const fs::path input = folder.path() / "captions.json";
    const fs::path output = folder.path() / "scores.json";
    write_input(set, input);
    std::vector<std::string> command{java, "-Xmx" + options_.memory};
    constexpr int kFirstClosedJava = 16;  // its libraries reach into classes that Java keeps to itself since then
    if (java_version(version->output) >= kFirstClosedJava)
      for (const char* package : {"java.lang", "java.util", "java.math"})
        command.insert(command.end(), {"--add-opens", fmt::format("java.base/{}=ALL-UNNAMED", package)});
    command.insert(command.end(), {"-jar", jar.string(), input.string(), "-out", output.string(), "-silent"});
    const auto run = run_process(command, jar.parent_path(), options_.timeout);
    if (!run) fail(ErrorCode::unsupported, "SPICE: {} cannot be started", java);
    if (run->timed_out)
      fail(ErrorCode::unsupported, "SPICE was not done after {} seconds (--spice-timeout gives it more)",
           options_.timeout.count());
    if (run->exit_code != 0)
      fail(ErrorCode::unsupported, "SPICE failed with exit code {}: {}", run->exit_code, last_words(run->output));
    return read_scores(output, set.words.size(), run->output);
  }

 private:
  static void write_input(const CaptionSet& set, const fs::path& path) {
    nlohmann::json images = nlohmann::json::array();
    for (std::size_t i = 0; i < set.words.size(); ++i) {
      nlohmann::json references = nlohmann::json::array();
      for (const Tokens& reference : set.words[i].references) references.push_back(joined(reference));
      images.push_back({{"image_id", i}, {"test", joined(set.words[i].candidate)}, {"refs", std::move(references)}});
    }
    write_file_atomically(path, images.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  }

  MetricScores read_scores(const fs::path& path, std::size_t images, const std::string& said) const {
    MetricScores scores;
    for (const std::string& name : names())
      scores.columns.push_back({name, 0.0, std::vector<double>(images, kNoValue)});
    std::vector<bool> seen(images, false);
    try {
      const std::string text = read_text(path, kMaxOutputBytes);
      parse_json_records(text, "the output of SPICE", "", [&](const JsonReader& record) {
        const auto image =
            static_cast<std::size_t>(record.get_int("image_id", 0, static_cast<std::int64_t>(images) - 1));
        if (seen[image]) fail(ErrorCode::invalid_input, "image {} has two scores", image);
        seen[image] = true;
        const JsonReader all = record.get_object("scores").get_object("All");
        const char* const keys[] = {"f", "pr", "re"};
        for (std::size_t c = 0; c < scores.columns.size(); ++c)
          scores.columns[c].per_image[image] = all.get_number(keys[c], 0.0, 1.0, kNoValue);
      });
    } catch (const Error& error) {
      fail(ErrorCode::unsupported, "SPICE gave no scores that can be read ({}): {}", error.what(), last_words(said));
    }
    for (std::size_t i = 0; i < images; ++i)
      if (!seen[i]) fail(ErrorCode::unsupported, "SPICE gave no score of {} images", std::ranges::count(seen, false));
    for (MetricScores::Column& column : scores.columns) column.corpus = mean_of_present(column.per_image);
    return scores;
  }

  SpiceOptions options_;
};

}  // namespace

std::unique_ptr<CaptionMetric> make_spice_metric(SpiceOptions options) {
  return std::make_unique<SpiceMetric>(std::move(options));
}

int java_version(std::string_view output) {
  const std::size_t quote = output.find('"');
  if (quote == std::string_view::npos) return 0;
  std::string_view text = output.substr(quote + 1);
  if (text.starts_with("1.")) text.remove_prefix(2);
  int version = 0;
  std::from_chars(text.data(), text.data() + text.size(), version);
  return version;
}

}  // namespace capdiff
