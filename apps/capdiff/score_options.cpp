#include "apps/capdiff/score_options.h"

#include <fmt/format.h>

#include "apps/capdiff/command.h"
#include "capdiff/base/error.h"
#include "capdiff/evaluation/other_system.h"
#include "capdiff/formats/reference_captions.h"

namespace capdiff::app {
namespace {

MetricOptions metric_options(const ScoreOptions& options) {
  MetricOptions result;
  if (!options.document_frequencies.empty()) result.document_frequencies = options.document_frequencies;
  if (!options.meteor_data.empty()) result.meteor_data = options.meteor_data;
  if (!options.clip.empty()) {
    if (options.images.empty()) fail(ErrorCode::usage, "--clip needs the folder of the pictures: --images DIR");
    result.clip = ClipMetricOptions{options.clip, options.images};
  }
  if (!options.bert.empty()) result.bert = BertMetricOptions{options.bert, options.bert_layer, options.bert_idf};
  if (!options.spice_jar.empty())
    result.spice = SpiceOptions{options.spice_jar, options.spice_memory, std::chrono::seconds(options.spice_timeout)};
  if (!options.training.empty())
    for (ReferenceCaptions& image : read_reference_captions(options.training))
      for (std::string& caption : image.captions) result.diversity.training.push_back(std::move(caption));
  result.diversity.vocabulary_size = options.vocabulary_size;
  return result;
}

}  // namespace

void add_score_options(CLI::App& command, ScoreOptions& options) {
  command
      .add_option("--metrics", options.metrics,
                  "Metrics, a comma between them: bleu, meteor, rouge-l, cider-d, spice, clipscore, bertscore, dist "
                  "(default: all that have what they need)")
      ->delimiter(',')
      ->type_name("NAMES");
  command
      .add_option(
          "--tokenizer", options.tokenizer,
          "Words that scores count: those of the coco-caption tools, lower case without punctuation, or as they "
          "stand")
      ->check(CLI::IsMember({"ptb", "lower-nopunct", "none"}))
      ->capture_default_str();
  command.add_option("--df", options.document_frequencies, "Document frequencies of CIDEr-D (score --write-df)")
      ->type_name("FILE");
  command
      .add_option("--meteor-data", options.meteor_data,
                  "METEOR's own data folder (default: WordNet as Debian's package wordnet-base installs it)")
      ->type_name("DIR");
  command.add_option("--clip", options.clip, "A CLIP (convert --from clip), for the metric clipscore")
      ->type_name("DIR");
  command.add_option("--bert", options.bert, "A BERT (convert --from bert), for the metric bertscore")
      ->type_name("DIR");
  command
      .add_option("--bert-layer", options.bert_layer,
                  "The layer of BERT that is compared (default: three quarters of its depth)")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000}))
      ->type_name("N");
  command.add_flag("--bert-idf", options.bert_idf, "Rare words weigh more in BERTScore");
  command.add_option("--spice-jar", options.spice_jar, "spice-1.0.jar, for the metric spice")->type_name("FILE");
  command.add_option("--spice-memory", options.spice_memory, "Memory that SPICE may take, as Java says it")
      ->check(CLI::Validator(
          [](const std::string& text) {
            const bool number = text.size() > 1 && text.size() < 10 &&
                                text.find_first_not_of("0123456789") == text.size() - 1 &&
                                std::string("kKmMgG").find(text.back()) != std::string::npos;
            return number ? std::string() : "expected a number and K, M or G, as in 8G";
          },
          "SIZE"))
      ->capture_default_str();
  command.add_option("--spice-timeout", options.spice_timeout, "Seconds that SPICE may take")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000}))
      ->capture_default_str();
  command
      .add_option("--training", options.training,
                  "Captions that are not novel, in any format of references, for the metric dist")
      ->type_name("FILE");
  command
      .add_option("--vocabulary-size", options.vocabulary_size,
                  "Words of which dist tells the share that is used (default: those of --training, else of the "
                  "references)")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1'000'000'000}))
      ->type_name("N");
  command.add_flag("--by-length", options.by_length, "Also score images by the length of their references");
  command
      .add_option("--compare", options.compare,
                  "Tell whether another system differs: its results, or its report (--json), of the same images")
      ->type_name("FILE");
  command.add_option("--resamples", options.resamples, "Resamples of the comparison")
      ->check(CLI::Range(std::size_t{1}, std::size_t{10'000'000}))
      ->capture_default_str();
  CLI::Option* json = command.add_flag("--json", options.json, "Print the scores as one JSON object");
  command.add_flag("--csv", options.csv, "Print the scores of each image as CSV")->excludes(json);
}

Scoring::Scoring(const ScoreOptions& options)
    : options_(options),
      tokenizer_(make_caption_tokenizer(options.tokenizer)),
      choice_(choose_metrics(options.metrics, metric_options(options))) {
  if (options.csv && (options.by_length || !options.compare.empty()))
    fail(ErrorCode::usage, "--csv has values of single images alone: --by-length and --compare go with --json");
}

int Scoring::print(std::vector<EvaluatedCaption> captions, const std::string& signature, std::vector<std::string> notes,
                   std::chrono::steady_clock::time_point start, const CandidateGroupOptions& candidates) const {
  const PreparedCaptions prepared(std::move(captions), *tokenizer_);
  EvaluationReport report = score_captions(prepared, choice_.metrics);
  const bool failed = !report.skipped.empty();
  for (const auto& [name, reason] : report.skipped) fmt::print(stderr, "capdiff: {} is left out: {}\n", name, reason);
  report.skipped.insert(choice_.skipped.begin(), choice_.skipped.end());
  report.signature += signature;
  report.notes.insert(report.notes.begin(), notes.begin(), notes.end());
  if (options_.by_length) report.by_length = group_by_length(prepared.set().words, report.metrics);
  if (!candidates.counts.empty()) report.by_candidates = group_by_candidates(prepared.set(), candidates);
  if (!options_.compare.empty())
    compare_with(report, prepared, *tokenizer_, choice_.metrics, options_.compare, options_.resamples);
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (const std::string& note : report.notes) fmt::print(stderr, "capdiff: {}\n", note);
  fmt::print("{}", options_.json ? to_json(report) : options_.csv ? to_csv(report) : to_table(report));
  return failed ? kFailed : kDone;
}

}  // namespace capdiff::app
