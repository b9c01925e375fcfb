#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "apps/capdiff/command.h"
#include "apps/capdiff/inputs.h"
#include "apps/capdiff/model_options.h"
#include "capdiff/base/error.h"
#include "capdiff/base/files.h"

namespace capdiff::app {
namespace {

struct FillOptions {
  ModelOptions model;
  std::string image;
  std::vector<std::string> sentences;
  std::string format = "text";
  bool all = false;
  bool trace = false;
  std::string trace_svg;
};

int fill(const FillOptions& options) {
  if (options.image.empty() || options.sentences.empty())
    fail(ErrorCode::usage, "fill needs an IMAGE and a SENTENCE with blanks: capdiff fill photo.jpg \"a [MASK] dog\"");
  if (!options.trace_svg.empty() && options.sentences.size() != 1)
    fail(ErrorCode::usage, "--trace-svg draws one sentence, not {}", options.sentences.size());
  std::vector<CaptionTemplate> templates;
  for (const std::string& sentence : options.sentences) templates.push_back(parse_caption_template(sentence));
  const Image image = read_input(single_input(options.image));
  LoadedModel model = load_model(options.model);
  model.generation.trace = options.trace || !options.trace_svg.empty();
  for (std::size_t i = 0; i < templates.size(); ++i) {
    const auto start = std::chrono::steady_clock::now();
    const Caption caption = model.captioner->fill(image, templates[i], model.generation);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    if (!options.trace_svg.empty()) write_file_atomically(options.trace_svg, to_svg(caption.trace, caption.text));
    if (options.format == "jsonl") {
      nlohmann::ordered_json object{
          {"path", options.image}, {"sentence", options.sentences[i]}, {"caption", caption.text}};
      for (const Candidate& candidate : caption.candidates) object["candidates"].push_back(to_json(candidate));
      if (options.trace) object["trace"] = to_json(caption.trace);
      object["steps"] = model.generation.steps;
      object["guidance"] = model.generation.guidance;
      object["model"] = model.path.string();
      object["seconds"] = elapsed.count();
      fmt::print("{}\n", object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
      continue;
    }
    if (options.trace) fmt::print("{}", to_text(caption.trace));
    if (options.all) {
      for (const Candidate& candidate : caption.candidates) fmt::print("{}\n", candidate.text);
    } else {
      fmt::print("{}\n", caption.text);
    }
  }
  return kDone;
}

}  // namespace

void add_fill(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("fill", "Fill the blanks of sentences about a picture");
  auto options = std::make_shared<FillOptions>();
  command->add_option("IMAGE", options->image, "Picture, or - for standard input");
  command->add_option("SENTENCE", options->sentences,
                      "Sentence with blanks: [MASK] or [UNK] is a word, [MASK:3] three, [MASK:2-4] two to four");
  add_model_options(*command, options->model);
  command->add_option("--format", options->format, "What to print")
      ->check(CLI::IsMember({"text", "jsonl"}))
      ->capture_default_str();
  command->add_flag("--all", options->all, "Print every candidate, not only the most confident one");
  command->add_flag("--trace", options->trace, "Show the sentence at every step, with the certainty of each word");
  command->add_option("--trace-svg", options->trace_svg, "Draw that into FILE")->type_name("FILE");
  add_configuration(*command, action, [options] { return fill(*options); });
}

}  // namespace capdiff::app
