#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/capdiff/command.h"
#include "apps/capdiff/inputs.h"
#include "apps/capdiff/model_options.h"
#include "capdiff/backends/processor.h"
#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/base/progress.h"
#include "capdiff/image/decode.h"
#include "capdiff/selection/near_duplicates.h"

namespace capdiff::app {
namespace {

struct CaptionOptions {
  ModelOptions model;
  std::vector<std::string> paths;
  std::string format = "text";
  std::string output;
  bool all = false;
  std::optional<double> distinct;
  bool recursive = false;
  std::optional<std::int64_t> length;
  bool trace = false;
  std::string trace_svg;
  std::string reference;
};

/// Writes results as they come, to standard output or into a file that appears when everything is done.
class Results {
 public:
  Results(const CaptionOptions& options, const LoadedModel& model, bool bare)
      : options_(options), model_(model), bare_(bare) {
    if (!options.output.empty()) file_.emplace(options.output);
  }

  void add(const std::string& name, const Caption& caption, double seconds) {
    std::string text;
    if (options_.format == "jsonl")
      text = json_line(name, caption, seconds);
    else if (options_.trace)
      text = (bare_ ? "" : name + "\n") + to_text(caption.trace) + caption.text + "\n";
    else if (!options_.all)
      text = line(name, caption.text);
    else
      for (const Candidate& candidate : listed(caption))
        text += line(name, fmt::format("{}\t{:.4f}", candidate.text, rank_of(candidate)));
    if (file_)
      file_->write(text);
    else if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
      fail(ErrorCode::io, "standard output cannot be written to");
  }

  void finish() {
    if (file_) file_->commit();
  }

 private:
  /// The candidates to print: with --all the most relevant first, without near-duplicates where these are not wanted.
  std::vector<Candidate> listed(const Caption& caption) const {
    if (!options_.all) return caption.candidates;
    const std::vector<Candidate> ranked = most_relevant_first(caption);
    if (!options_.distinct) return ranked;
    std::vector<std::string> texts;
    for (const Candidate& candidate : ranked) texts.push_back(candidate.text);
    std::vector<Candidate> distinct;
    for (const std::size_t i : without_near_duplicates(texts, *options_.distinct)) distinct.push_back(ranked[i]);
    return distinct;
  }

  std::string line(const std::string& name, const std::string& text) const {
    return bare_ ? text + "\n" : fmt::format("{}\t{}\n", name, text);
  }

  std::string json_line(const std::string& name, const Caption& caption, double seconds) const {
    nlohmann::ordered_json object{{"path", name}, {"caption", caption.text}};
    for (const Candidate& candidate : listed(caption)) {
      nlohmann::ordered_json listed{{"text", candidate.text}, {"score", candidate.score}, {"seed", candidate.seed}};
      if (candidate.relevance) listed["relevance"] = *candidate.relevance;
      object["candidates"].push_back(std::move(listed));
    }
    if (options_.trace) object["trace"] = to_json(caption.trace);
    if (!model_.generation.left_to_right) {
      object["steps"] = model_.generation.steps;
      object["guidance"] = model_.generation.guidance;
    }
    object["model"] = model_.path.string();
    object["dtype"] = compute_name(model_.backend->options().compute);
    object["seconds"] = seconds;
    return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  }

  const CaptionOptions& options_;
  const LoadedModel& model_;
  bool bare_;
  std::optional<AtomicFileWriter> file_;
};

int caption(const CaptionOptions& options) {
  if (options.paths.empty()) fail(ErrorCode::usage, "caption needs at least one PATH: a picture, a folder, or -");
  const std::vector<Input> inputs = expand_inputs(options.paths, options.recursive);
  if (!options.trace_svg.empty() && inputs.size() != 1)
    fail(ErrorCode::usage, "--trace-svg draws one picture's caption, not those of {}", inputs.size());
  if (!options.reference.empty() && !options.trace && options.trace_svg.empty())
    fail(ErrorCode::usage, "--reference is what --trace measures against; give --trace too");
  if (options.distinct && !options.all)
    fail(ErrorCode::usage, "--distinct leaves out candidates that --all would print; give --all too");
  LoadedModel model = load_model(options.model);
  load_clip(options.model, model);
  model.generation.length = options.length;
  model.generation.trace = options.trace || !options.trace_svg.empty();
  model.generation.reference = options.reference;
  const bool bare = options.paths.size() == 1 && inputs.size() == 1 && inputs[0].name == options.paths[0];
  Results results(options, model, bare);
  std::optional<Progress> progress;
  if (inputs.size() > 1) progress.emplace("captioning", inputs.size());

  std::size_t captioned = 0, failed = 0;
  const auto batch = static_cast<std::size_t>(options.model.batch);
  for (std::size_t begin = 0; begin < inputs.size(); begin += batch) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<Image> images;
    std::vector<const Input*> readable;
    for (std::size_t i = begin; i < std::min(begin + batch, inputs.size()); ++i) {
      try {
        images.push_back(read_input(inputs[i]));
        readable.push_back(&inputs[i]);
      } catch (const Error& error) {
        write_to_stderr(fmt::format("capdiff: {}\n", error.what()));
        ++failed;
      }
    }
    const std::vector<Caption> captions = model.captioner->caption(images, model.generation);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    for (std::size_t i = 0; i < captions.size(); ++i)
      results.add(readable[i]->name, captions[i], elapsed.count() / static_cast<double>(captions.size()));
    if (!options.trace_svg.empty() && !captions.empty())
      write_file_atomically(options.trace_svg, to_svg(captions[0].trace, captions[0].text));
    captioned += captions.size();
    if (progress) progress->advance(std::min(batch, inputs.size() - begin));
  }
  results.finish();
  if (failed == 0) return kDone;
  return captioned == 0 ? kFailed : kSomeFailed;
}

}  // namespace

void add_caption(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("caption", "Caption pictures: files, folders, or - for standard input");
  auto options = std::make_shared<CaptionOptions>();
  command->add_option("PATH", options->paths, "Pictures (JPEG, PNG) and folders of them");
  add_model_options(*command, options->model);
  command->add_option("--clip", options->model.clip, "The CLIP that --select clip chooses with (default: models/clip)")
      ->type_name("DIR");
  command->add_flag("--all", options->all, "Print every candidate and its relevance, the most relevant first");
  command
      ->add_option("--distinct", options->distinct,
                   "With --all, leave out candidates that share P or more of their words with a more relevant one")
      ->type_name("P")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--length", options->length, "Exactly so many words")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{4096}));
  command->add_flag("--trace", options->trace, "Show the caption at every step, with the certainty of each word");
  command->add_option("--trace-svg", options->trace_svg, "Draw that into FILE (one picture only)")->type_name("FILE");
  command->add_option("--reference", options->reference, "Caption to measure the trace's latents against")
      ->type_name("TEXT");
  command->add_option("--format", options->format, "What to print")
      ->check(CLI::IsMember({"text", "jsonl"}))
      ->capture_default_str();
  command->add_option("-o,--output", options->output, "Write to FILE instead of standard output")->type_name("FILE");
  command->add_flag("--recursive", options->recursive, "Look into subfolders");
  add_configuration(*command, action, [options] { return caption(*options); });
}

}  // namespace capdiff::app
