#include <fmt/format.h>

#include "apps/capdiff/command.h"
#include "apps/capdiff/score_options.h"
#include "capdiff/base/error.h"
#include "capdiff/evaluation/caption_matching.h"
#include "capdiff/metrics/document_frequencies.h"

namespace capdiff::app {
namespace {

struct ScoreArguments {
  std::string references, results;
  std::string split;
  bool partial = false;
  std::string write_frequencies;
  ScoreOptions scores;
};

/// Document frequencies of CIDEr-D of all references.
void write_frequencies(std::span<const ReferenceCaptions> references, const CaptionTokenizer& tokenizer,
                       const std::string& path) {
  std::vector<EvaluatedCaption> captions;
  for (const ReferenceCaptions& image : references) captions.push_back({image.id, "", image.captions});
  DocumentFrequencies(tokenize_images(captions, tokenizer)).save(path, tokenizer.signature());
}

int score(const ScoreArguments& arguments) {
  const auto start = std::chrono::steady_clock::now();
  if (arguments.references.empty()) fail(ErrorCode::usage, "score needs --references FILE");
  if (arguments.results.empty() && arguments.write_frequencies.empty())
    fail(ErrorCode::usage, "score needs --results FILE (or --write-df FILE)");
  const Scoring scoring(arguments.scores);
  const auto references = read_reference_captions(arguments.references, arguments.split);
  if (!arguments.write_frequencies.empty())
    write_frequencies(references, scoring.tokenizer(), arguments.write_frequencies);
  if (arguments.results.empty()) return kDone;

  const auto results = read_caption_results(arguments.results);
  MatchedCaptions matched;
  try {
    matched = match_captions(references, results, arguments.partial ? Coverage::partial : Coverage::equal);
  } catch (const Error& error) {
    fail(error.code(), "{} and {}: {}", arguments.references, arguments.results, error.what());
  }
  std::vector<std::string> notes;
  if (matched.without_caption)
    notes.push_back(fmt::format("{} of {} images with references have no result, and are left out",
                                matched.without_caption, references.size()));
  if (matched.without_references)
    notes.push_back(
        fmt::format("{} results are about images without references, and are left out", matched.without_references));
  std::string signature;
  if (!arguments.split.empty()) signature += " | split " + arguments.split;
  if (matched.without_caption) signature += fmt::format(" | of {} images", references.size());
  return scoring.print(std::move(matched.captions), signature, std::move(notes), start);
}

}  // namespace

void add_score(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("score", "Score captions against references");
  auto arguments = std::make_shared<ScoreArguments>();
  command
      ->add_option("--references", arguments->references,
                   "What people wrote: COCO annotations, Karpathy's splits, or JSON Lines")
      ->type_name("FILE");
  command
      ->add_option("--results", arguments->results,
                   "The captions: COCO results, or JSON Lines as caption --format jsonl prints them")
      ->type_name("FILE");
  command->add_option("--split", arguments->split, "Take this split of Karpathy's alone")->type_name("NAME");
  command->add_flag("--partial", arguments->partial, "Score the images that both files have, and leave out the others");
  command
      ->add_option("--write-df", arguments->write_frequencies,
                   "Write the document frequencies of the references, for --df")
      ->type_name("FILE");
  command->add_option("--images", arguments->scores.images, "Folder of the pictures, for the metric clipscore")
      ->type_name("DIR");
  add_score_options(*command, arguments->scores);
  add_configuration(*command, action, [arguments] { return score(*arguments); });
}

}  // namespace capdiff::app
