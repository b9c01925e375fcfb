#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "apps/capdiff/caption_output.h"
#include "apps/capdiff/caption_run.h"
#include "apps/capdiff/command.h"
#include "apps/capdiff/inputs.h"
#include "apps/capdiff/model_options.h"
#include "capdiff/backends/processor.h"
#include "capdiff/base/error.h"
#include "capdiff/base/interruption.h"
#include "capdiff/formats/image_folder.h"
#include "capdiff/formats/model_folder.h"

namespace capdiff::app {
namespace {

struct CaptionOptions {
  ModelOptions model;
  OutputOptions output;
  std::vector<std::string> paths;
  std::string files_from;
  std::string shard;
  bool recursive = false;
  bool allow_truncated = false;
  std::string errors;
  std::optional<std::int64_t> length;
  std::string trace_svg;
  std::string reference;
};

/// Throws `Error(usage)` for options that do not go together.
void check_options(const CaptionOptions& options) {
  if (options.paths.empty() && options.files_from.empty())
    fail(ErrorCode::usage, "caption needs at least one PATH: a picture, a folder, or -");
  if (options.files_from == "-" && std::ranges::find(options.paths, "-") != options.paths.end())
    fail(ErrorCode::usage, "standard input is either a picture or the list of --files-from");
  if (!options.reference.empty() && !options.output.trace && options.trace_svg.empty())
    fail(ErrorCode::usage, "--reference is what --trace measures against; give --trace too");
  if (options.output.distinct && !options.output.all)
    fail(ErrorCode::usage, "--distinct leaves out candidates that --all would print; give --all too");
  const std::string& extension = options.output.sidecar_extension;
  if (extension.empty() || extension.find('/') != std::string::npos ||
      is_picture_name("a." + extension.substr(extension.starts_with('.') ? 1 : 0)))
    fail(ErrorCode::usage, "--sidecar-extension {}: expected that of a text file, such as txt", extension);
}

InputList inputs_of(const CaptionOptions& options) {
  std::vector<std::string> paths = options.paths;
  if (!options.files_from.empty()) std::ranges::move(read_path_list(options.files_from), std::back_inserter(paths));
  InputList list = expand_inputs(paths, options.recursive);
  if (!options.trace_svg.empty() && list.pictures.size() != 1)
    fail(ErrorCode::usage, "--trace-svg draws one picture's caption, not those of {}", list.pictures.size());
  return list;
}

/// What decides the captions, a line each, for runs that go on where another one ended.
std::string settings_of(const CaptionOptions& options, const LoadedModel& model, const std::filesystem::path& clip) {
  std::string text = "version " CAPDIFF_VERSION "\n";
  text += fmt::format("model {:016x}\n", folder_fingerprint(model.path));
  if (!clip.empty()) text += fmt::format("clip {:016x}\n", folder_fingerprint(clip));
  std::string generation = describe(model.generation);
  for (std::size_t at; (at = generation.find(" | ")) != std::string::npos;) generation.replace(at, 3, "\n");
  text += generation + fmt::format("\ndtype {}\n", compute_name(model.backend->options().compute));
  const OutputOptions& output = options.output;
  for (const auto& [name, value] : {std::pair{"--prefix", output.prefix}, {"--suffix", output.suffix}})
    if (!value.empty()) text += fmt::format("{} {}\n", name, nlohmann::json(value).dump());
  for (const auto& [name, given] :
       {std::pair{"--all", output.all}, {"--trace", output.trace}, {"--allow-truncated", options.allow_truncated}})
    if (given) text += fmt::format("{}\n", name);
  if (output.distinct) text += fmt::format("--distinct {}\n", *output.distinct);
  return text;
}

int caption(const CaptionOptions& options) {
  check_options(options);
  const std::optional<Shard> shard = options.shard.empty() ? std::nullopt : std::optional(parse_shard(options.shard));
  InputList list = inputs_of(options);
  LoadedModel model = load_model(options.model);
  const std::filesystem::path clip = load_clip(options.model, model);
  model.generation.length = options.length;
  model.generation.trace = options.output.trace || !options.trace_svg.empty();
  model.generation.reference = options.reference;
  const bool bare = options.paths.size() == 1 && options.files_from.empty() && list.pictures.size() == 1 &&
                    list.pictures[0].name == options.paths[0];
  OutputOptions output = options.output;
  if (!output.files.empty()) output.settings = settings_of(options, model, clip);
  CaptionRun run(model, make_outputs(output, model, bare),
                 {.batch = static_cast<std::size_t>(options.model.batch),
                  .gpu = options.model.device == "cuda",
                  .allow_truncated = options.allow_truncated,
                  .errors = options.errors,
                  .prefix = output.prefix,
                  .suffix = output.suffix,
                  .trace_svg = options.trace_svg,
                  .shard = shard,
                  .list = options.files_from,
                  .passed_over = list.passed_over_text()});
  return run.run(std::move(list.pictures));
}

/// Everything that the run had has been put away when a signal ends the process.
int caption_or_end(const CaptionOptions& options) {
  const int code = caption(options);
  if (code > kSignalled) end_by(code - kSignalled);
  return code;
}

void add_input_options(CLI::App& command, CaptionOptions& options) {
  command.add_option("PATH", options.paths, "Pictures (JPEG, PNG, WebP), folders of them, and tar files");
  command.add_flag("--recursive", options.recursive, "Look into subfolders");
  command
      .add_option("--files-from", options.files_from,
                  "Caption what FILE lists too, one path a line or each with NUL behind; - is standard input")
      ->type_name("FILE");
  command.add_option("--shard", options.shard, "Only the Ith of N equal shares of all pictures, chosen by their paths")
      ->type_name("I/N");
  command.add_flag("--allow-truncated", options.allow_truncated,
                   "Caption what can be read of damaged pictures, rather than refuse them");
  command
      .add_option("--errors", options.errors,
                  "Add a line to FILE for every picture that fails: time, path and reason between tabs")
      ->type_name("FILE");
}

void add_output_options(CLI::App& command, OutputOptions& options) {
  command
      .add_option("--format", options.formats,
                  "text, jsonl, csv, coco, or sidecar: a text file beside every picture; several may be given")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::IsMember({"text", "jsonl", "csv", "coco", "sidecar"}))
      ->capture_default_str();
  command
      .add_option("-o,--output", options.files,
                  "Write to FILE instead of standard output; one for each format but sidecar")
      ->allow_extra_args(false)
      ->type_name("FILE");
  command
      .add_option("--existing", options.existing,
                  "What to do where captions are there already: skip the picture (sidecars: default), overwrite "
                  "(default), append or prepend to the sidecar, or stop with an error")
      ->check(CLI::IsMember({"skip", "overwrite", "append", "prepend", "error"}));
  command
      .add_option("--sidecar-dir", options.sidecar_dir,
                  "Write sidecars into DIR, in the same subfolders as the pictures")
      ->type_name("DIR");
  command.add_option("--sidecar-extension", options.sidecar_extension, "Of sidecars")
      ->type_name("EXT")
      ->capture_default_str();
  command.add_flag("--all", options.all, "Print every candidate and its relevance, the most relevant first");
  command
      .add_option("--distinct", options.distinct,
                  "With --all, leave out candidates that share P or more of their words with a more relevant one")
      ->type_name("P")
      ->check(CLI::Range(0.0, 1.0));
}

}  // namespace

void add_caption(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("caption", "Caption pictures: files, folders, or - for standard input");
  auto options = std::make_shared<CaptionOptions>();
  add_input_options(*command, *options);
  add_output_options(*command, options->output);
  add_model_options(*command, options->model);
  command->add_option("--clip", options->model.clip, "The CLIP that --select clip chooses with (default: models/clip)")
      ->type_name("DIR");
  command->add_option("--prefix", options->output.prefix, "Put TEXT in front of every caption")->type_name("TEXT");
  command->add_option("--suffix", options->output.suffix, "Put TEXT behind every caption")->type_name("TEXT");
  command->add_option("--length", options->length, "Exactly so many words")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{4096}));
  command->add_flag("--trace", options->output.trace,
                    "Show the caption at every step, with the certainty of each word");
  command->add_option("--trace-svg", options->trace_svg, "Draw that into FILE (one picture only)")->type_name("FILE");
  command->add_option("--reference", options->reference, "Caption to measure the trace's latents against")
      ->type_name("TEXT");
  group_options(*command, "Pictures", {"--recursive", "--files-from", "--shard", "--allow-truncated", "--errors"});
  group_options(*command, "Output",
                {"--format", "--output", "--existing", "--sidecar-dir", "--sidecar-extension", "--prefix", "--suffix",
                 "--all", "--distinct", "--trace", "--trace-svg", "--reference"});
  group_options(*command, "What is drawn", {"--length", "--clip"});
  add_configuration(*command, action, [options] { return caption_or_end(*options); });
}

}  // namespace capdiff::app
