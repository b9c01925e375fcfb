#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/evaluation/caption_matching.h"
#include "capdiff/evaluation/verify_kinds.h"
#include "capdiff/formats/json_reader.h"
#include "capdiff/metrics/bleu.h"
#include "capdiff/metrics/cider_d.h"
#include "capdiff/metrics/rouge_l.h"
#include "capdiff/selection/minimum_bayes_risk.h"
#include "capdiff/text/unicode.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::string_view kExpected = "_expected.json";
constexpr std::size_t kMaxMetricsBytes = std::size_t{16} << 20;

/// The names X of the files X_expected.json, in order.
std::vector<std::string> expected_stems(const fs::path& folder) {
  std::vector<std::string> stems;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(kExpected)) stems.push_back(name.substr(0, name.size() - kExpected.size()));
  }
  std::ranges::sort(stems);
  return stems;
}

/// Captions in the words that stand between white space, and, for ROUGE-L, between single spaces.
struct TokenizedImages {
  explicit TokenizedImages(std::span<const EvaluatedCaption> captions)
      : words(tokenize_images(captions, WhiteSpaceTokenizer())), cut_at_spaces(words) {
    for (std::size_t i = 0; i < captions.size(); ++i) {
      cut_at_spaces[i].candidate = capdiff::cut_at_spaces(captions[i].candidate);
      for (std::size_t r = 0; r < captions[i].references.size(); ++r)
        cut_at_spaces[i].references[r] = capdiff::cut_at_spaces(captions[i].references[r]);
    }
  }

  std::vector<ScoredImage> words;
  std::vector<ScoredImage> cut_at_spaces;
};

/// The metrics that are verified here, by the names of the goldens.
std::map<std::string, MetricResult> all_metrics(const TokenizedImages& images) {
  std::map<std::string, MetricResult> results;
  const auto bleus = bleu(images.words);
  for (std::size_t n = 0; n < bleus.size(); ++n) results["Bleu_" + std::to_string(n + 1)] = bleus[n];
  results["ROUGE_L"] = rouge_l(images.cut_at_spaces);
  results["CIDEr"] = cider_d(images.words);
  return results;
}

bool is_meteor(const std::string& metric) {
  return metric.starts_with("METEOR");
}

/// Compares {"corpus": {metric: value}, "per_image": {metric: [values]}}. METEOR's values are verified apart.
void compare_metrics(const std::string& path, const Json& golden, const std::map<std::string, MetricResult>& computed,
                     GoldenReport& report) {
  for (const char* part : {"corpus", "per_image"}) {
    for (const auto& [metric, value] : golden.at(part).items()) {
      if (is_meteor(metric)) continue;
      const std::string name = path + "." + part + "." + metric;
      const auto found = computed.find(metric);
      if (found == computed.end()) {
        report.fail_check("json." + name, "nothing computes this metric");
        continue;
      }
      const Json ours = part == std::string_view("corpus") ? Json(found->second.corpus) : Json(found->second.per_image);
      report.compare_json(name, value, ours, kScoreTolerance);
    }
  }
}

/// The references and results of a pair of COCO files.
std::vector<EvaluatedCaption> coco_captions(const fs::path& folder, const std::string& stem) {
  return match_captions(read_reference_captions(folder / (stem + "_annotations.json")),
                        read_caption_results(folder / (stem + "_results.json")), Coverage::equal)
      .captions;
}

void verify_coco_files(const fs::path& folder, const std::string& stem, GoldenReport& report) {
  const std::string path = stem + "_expected";
  report.part("json." + path, [&] {
    const Json golden = read_json(folder / (stem + std::string(kExpected)));
    const std::vector<EvaluatedCaption> captions = coco_captions(folder, stem);
    compare_metrics(path, golden, all_metrics(TokenizedImages(captions)), report);
    if (!golden.contains("image_ids")) return;
    std::vector<std::int64_t> ids;
    for (const EvaluatedCaption& caption : captions) ids.push_back(std::stoll(caption.id));
    report.compare_json(path + ".image_ids", golden.at("image_ids"), ids);
  });
}

/// Scores of the first images of a pair of COCO files with the document frequencies of another corpus.
void verify_document_frequencies(const fs::path& folder, GoldenReport& report) {
  const std::string path = "cider_external_df";
  report.part("json." + path, [&] {
    constexpr std::string_view kBefore = "eval_first_n_of_";
    const Json golden = read_json(folder / (path + ".json"));
    std::vector<std::vector<Tokens>> corpus;
    for (const Json& captions : golden.at("corpus_images"))
      corpus.push_back(WhiteSpaceTokenizer().tokenize(captions.get<std::vector<std::string>>()));
    const DocumentFrequencies frequencies(corpus);
    report.compare_json(path + ".n_images", golden.at("n_images"), frequencies.images());
    report.compare_json(path + ".n_distinct_ngrams", golden.at("n_distinct_ngrams"), frequencies.size());
    WordNumbers words = frequencies.words();
    for (const auto& [text, frequency] : golden.at("df_sample").items()) {
      Ngram ngram{};
      const auto numbers = words.number(split_white_space(text));
      if (numbers.size() <= kMaxNgramOrder) std::ranges::copy(numbers, ngram.words.begin());
      report.compare_json(path + ".df_sample." + text, frequency, frequencies[ngram]);
    }
    for (const auto& [key, count] : golden.items()) {
      if (!key.starts_with(kBefore)) continue;
      std::vector<EvaluatedCaption> captions = coco_captions(folder, key.substr(kBefore.size()));
      captions.resize(std::min(captions.size(), count.get<std::size_t>()));
      const MetricResult result = cider_d(TokenizedImages(captions).words, frequencies);
      report.compare_json(path + ".expected_per_image", golden.at("expected_per_image"), result.per_image,
                          kScoreTolerance);
      report.compare_json(path + ".expected_mean", golden.at("expected_mean"), result.corpus, kScoreTolerance);
      return;
    }
    report.fail_check("json." + path + ".expected_mean", "no key tells the images that were scored");
  });
}

/// What an edge case gives its scorers: the ids of references and results may differ, or come twice.
std::vector<EvaluatedCaption> edge_case_captions(const nlohmann::ordered_json& example) {
  std::vector<ReferenceCaptions> references;
  std::vector<CaptionResult> results;
  for (const auto& [id, captions] : example.at("references").items()) references.push_back({id, "", captions});
  for (const auto& [id, captions] : example.at("results").items())
    for (const auto& caption : captions) results.push_back({id, "", caption, {}, ""});
  return match_captions(references, results, Coverage::equal).captions;
}

void verify_edge_cases(const fs::path& folder, GoldenReport& report) {
  // TokenizedImages are in the order of the file.
  const fs::path file = folder / "edge_cases.json";
  const Json golden = read_json(file);
  const auto ordered = nlohmann::ordered_json::parse(read_text(file, kMaxMetricsBytes));
  if (golden.at("cases").empty()) report.fail_check("json.edge_cases.cases", "there is no case");
  for (std::size_t i = 0; i < golden.at("cases").size(); ++i) {
    const std::string path = "edge_cases.cases." + std::to_string(i);
    const Json& example = golden.at("cases").at(i);
    report.part("json." + path, [&] {
      if (!example.contains("expected_error"))
        return compare_metrics(path + ".expected", example.at("expected"),
                               all_metrics(TokenizedImages(edge_case_captions(ordered.at("cases").at(i)))), report);
      // The reference stops with an error of Python's, an AssertionError most often.
      const std::string name = example.at("expected_error");
      std::string outcome = name.ends_with("Error") ? name : "an error";
      try {
        all_metrics(TokenizedImages(edge_case_captions(ordered.at("cases").at(i))));
        outcome = "no error";
      } catch (const Error& error) {
        if (error.code() != ErrorCode::invalid_input) throw;
      }
      report.compare_json(path + ".expected_error", example.at("expected_error"), outcome);
    });
  }
}

void verify_sentence_bleu(const fs::path& folder, GoldenReport& report) {
  const Json golden = read_json(folder / "sentence_bleu_mbr.json");
  for (std::size_t i = 0; i < golden.at("mbr").size(); ++i) {
    const std::string path = "sentence_bleu_mbr.mbr." + std::to_string(i);
    report.part("json." + path, [&] {
      const Json& example = golden.at("mbr").at(i);
      const std::vector<std::string> candidates = example.at("candidates");
      report.compare_json(path + ".bleu_hyp_i_ref_j", example.at("bleu_hyp_i_ref_j"),
                          utilities(candidates, Utility::bleu_method4), kScoreTolerance);
      const MinimumBayesRisk decision = minimum_bayes_risk(candidates, Utility::bleu_method4);
      std::vector<double> sums = decision.scores;
      for (double& sum : sums) sum *= static_cast<double>(candidates.size() - 1);
      report.compare_json(path + ".row_sum_without_diagonal", example.at("row_sum_without_diagonal"), sums,
                          kScoreTolerance);
      report.compare_json(path + ".selected", example.at("selected"), decision.chosen);
      if (!example.contains("gap") || sums.size() < 2) return;
      std::ranges::sort(sums, std::greater());
      report.compare_json(path + ".gap", example.at("gap"), sums[0] - sums[1], kScoreTolerance);
    });
  }
  for (std::size_t i = 0; i < golden.at("multi_reference").size(); ++i) {
    const std::string path = "sentence_bleu_mbr.multi_reference." + std::to_string(i);
    report.part("json." + path, [&] {
      const Json& example = golden.at("multi_reference").at(i);
      const Tokens hypothesis = split_white_space(example.at("hyp").get<std::string>());
      const auto references = WhiteSpaceTokenizer().tokenize(example.at("refs").get<std::vector<std::string>>());
      const auto compare = [&](const std::string& key, BleuSmoothing smoothing) {
        // Unsmoothed values may be 10⁻¹⁵⁴, and must be right all the same.
        const double tolerance = kScoreTolerance * std::min(1.0, std::abs(example.at(key).get<double>()));
        report.compare_json(path + "." + key, example.at(key), sentence_bleu(hypothesis, references, smoothing),
                            tolerance);
      };
      compare("bleu4_method4", BleuSmoothing::method4);
      compare("bleu4_method1", BleuSmoothing::method1);
      compare("bleu4_unsmoothed", BleuSmoothing::none);
    });
  }
}

std::vector<std::string> each_joined(const std::vector<Tokens>& captions) {
  std::vector<std::string> texts;
  for (const Tokens& words : captions) texts.push_back(joined(words));
  return texts;
}

/// What other projects printed, with the decimals that they printed.
void compare_published(const std::string& path, const Json& published,
                       const std::map<std::string, MetricResult>& computed, GoldenReport& report) {
  constexpr double kPrinted = 6e-5;
  for (const auto& [key, value] : published.items()) {
    const bool sentences = key == "CIDEr_D_sentences";
    const auto found = computed.find(key == "CIDEr_D" || sentences ? "CIDEr" : key);
    if (found == computed.end()) continue;  // of other metrics, or with data that are not here
    report.compare_json(path + "." + key, value, sentences ? Json(found->second.per_image) : Json(found->second.corpus),
                        kPrinted);
  }
}

void verify_published(const fs::path& folder, GoldenReport& report) {
  const Json golden = read_json(folder / "published.json");
  for (std::size_t i = 0; i < golden.at("cases").size(); ++i) {
    const std::string path = "published.cases." + std::to_string(i);
    report.part("json." + path, [&] {
      const Json& example = golden.at("cases").at(i);
      const std::unique_ptr<CaptionTokenizer> tokenizer =
          make_caption_tokenizer(example.at("needs_ptb_tokenisation").get<bool>() ? "ptb" : "none");
      std::vector<EvaluatedCaption> captions;
      for (std::size_t c = 0; c < example.at("candidates").size(); ++c) {
        captions.push_back({std::to_string(c), example.at("candidates").at(c), example.at("references").at(c)});
      }
      std::vector<std::string> candidate_words;
      std::vector<std::vector<std::string>> reference_words;
      for (const ScoredImage& image : tokenize_images(captions, *tokenizer)) {
        candidate_words.push_back(joined(image.candidate));
        reference_words.push_back(each_joined(image.references));
      }
      report.compare_json(path + ".tokens_candidates", example.at("tokens_candidates"), candidate_words);
      report.compare_json(path + ".tokens_references", example.at("tokens_references"), reference_words);
      for (std::size_t c = 0; c < captions.size(); ++c) {
        captions[c].candidate = example.at("tokens_candidates").at(c);
        captions[c].references = example.at("tokens_references").at(c);
      }
      const auto computed = all_metrics(TokenizedImages(captions));
      if (example.contains("recomputed"))
        compare_metrics(path + ".recomputed", example.at("recomputed"), computed, report);
      compare_published(path + ".published", example.at("published"), computed, report);
    });
  }
}

}  // namespace

bool has_metric_goldens(const fs::path& folder) {
  return !expected_stems(folder).empty();
}

GoldenReport verify_metrics(const fs::path& folder) {
  GoldenReport report;
  for (const std::string& stem : expected_stems(folder)) verify_coco_files(folder, stem, report);
  using Part = void (*)(const fs::path&, GoldenReport&);
  for (const auto& [name, run] : {std::pair<const char*, Part>{"cider_external_df", verify_document_frequencies},
                                  {"edge_cases", verify_edge_cases},
                                  {"sentence_bleu_mbr", verify_sentence_bleu},
                                  {"published", verify_published}}) {
    if (fs::exists(folder / (std::string(name) + ".json")))
      report.part("json." + std::string(name), [&, verify_part = run] { verify_part(folder, report); });
  }
  return report;
}

}  // namespace capdiff
