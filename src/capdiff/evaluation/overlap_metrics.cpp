#include "capdiff/evaluation/overlap_metrics.h"

#include <fmt/format.h>

#include <cmath>

#include "capdiff/base/error.h"
#include "capdiff/base/parallel.h"
#include "capdiff/metrics/bleu.h"
#include "capdiff/metrics/cider_d.h"
#include "capdiff/metrics/diversity.h"
#include "capdiff/metrics/rouge_l.h"

namespace capdiff {
namespace {

class BleuMetric final : public CaptionMetric {
 public:
  std::vector<std::string> names() const override { return {"BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4"}; }

  MetricScores score(const CaptionSet& set) const override {
    const auto counts = bleu_statistics(set.words);
    MetricScores scores;
    for (const std::string& name : names()) scores.columns.push_back({name, 0.0, {}});
    scores.width = kWidth;
    BleuStatistics corpus;
    for (const BleuStatistics& image : counts) {
      corpus += image;
      const auto values = bleu_values(image);
      for (std::size_t n = 0; n < values.size(); ++n) scores.columns[n].per_image.push_back(values[n]);
      for (const auto& numbers : {image.matches, image.totals})
        for (const std::int64_t number : numbers) scores.statistics.push_back(static_cast<double>(number));
      scores.statistics.push_back(static_cast<double>(image.candidate_length));
      scores.statistics.push_back(static_cast<double>(image.reference_length));
    }
    const auto values = bleu_values(corpus);
    for (std::size_t n = 0; n < values.size(); ++n) scores.columns[n].corpus = values[n];
    scores.of_sums = [](std::span<const double> sums) {
      BleuStatistics total;
      for (std::size_t n = 0; n < kMaxNgramOrder; ++n) {
        total.matches[n] = static_cast<std::int64_t>(sums[n]);
        total.totals[n] = static_cast<std::int64_t>(sums[kMaxNgramOrder + n]);
      }
      total.candidate_length = static_cast<std::int64_t>(sums[kWidth - 2]);
      total.reference_length = static_cast<std::int64_t>(sums[kWidth - 1]);
      const auto of_total = bleu_values(total);
      return std::vector<double>(of_total.begin(), of_total.end());
    };
    return scores;
  }

 private:
  static constexpr std::size_t kWidth = 2 * kMaxNgramOrder + 2;
};

class RougeLMetric final : public CaptionMetric {
 public:
  std::vector<std::string> names() const override { return {"ROUGE-L"}; }

  MetricScores score(const CaptionSet& set) const override {
    MetricScores scores;
    if (set.tokenizer.signature() != WhiteSpaceTokenizer().signature()) {
      scores.columns.push_back(column_of("ROUGE-L", rouge_l(set.words)));
      return scores;
    }
    std::vector<ScoredImage> images(set.captions.size());
    parallel_for(images.size(), [&](std::size_t i) {
      images[i] = {set.captions[i].id, cut_at_spaces(set.captions[i].candidate), {}};
      for (const std::string& caption : set.captions[i].references)
        images[i].references.push_back(cut_at_spaces(caption));
    });
    scores.columns.push_back(column_of("ROUGE-L", rouge_l(images)));
    return scores;
  }
};

class CiderDMetric final : public CaptionMetric {
 public:
  explicit CiderDMetric(std::optional<std::filesystem::path> frequencies) : file_(std::move(frequencies)) {}

  std::vector<std::string> names() const override { return {"CIDEr-D"}; }
  std::string signature() const override { return "df " + (file_ ? file_->filename().string() : "references"); }

  MetricScores score(const CaptionSet& set) const override {
    MetricScores scores;
    if (file_) {
      const auto frequencies = DocumentFrequencies::load(*file_, set.tokenizer.signature());
      scores.columns.push_back(column_of("CIDEr-D", cider_d(set.words, frequencies)));
    } else {
      scores.columns.push_back(column_of("CIDEr-D", cider_d(set.words)));
    }
    return scores;
  }

 private:
  std::optional<std::filesystem::path> file_;
};

class DiversityMetric final : public CaptionMetric {
 public:
  explicit DiversityMetric(DiversityOptions options) : options_(std::move(options)) {}

  std::vector<std::string> names() const override {
    return {"Dist-1", "Dist-2", "Dist-3", "Vocabulary", "Distinct", "Length", "Novel", "Self-BLEU", "Self-CIDEr"};
  }

  MetricScores score(const CaptionSet& set) const override {
    std::vector<Tokens> captions;
    for (const ScoredImage& image : set.words) captions.push_back(image.candidate);
    const std::vector<Tokens> training = set.tokenizer.tokenize(options_.training);
    const Diversity varied = diversity(captions);
    MetricScores scores;
    const auto add = [&](std::string name, double corpus) { scores.columns.push_back({std::move(name), corpus, {}}); };
    for (std::size_t n = 0; n < varied.dist.size(); ++n) add(fmt::format("Dist-{}", n + 1), varied.dist[n]);
    if (const std::int64_t size = vocabulary_size(set, training)) add("Vocabulary", varied.vocabulary_usage(size));
    add("Distinct", static_cast<double>(varied.distinct_captions) / static_cast<double>(varied.captions));
    add("Length", varied.mean_length());
    scores.columns.back().shown_times = 1.0;
    if (!training.empty()) add("Novel", novel_share(captions, training));
    add_candidates(set, scores);
    return scores;
  }

 private:
  std::int64_t vocabulary_size(const CaptionSet& set, const std::vector<Tokens>& training) const {
    if (options_.vocabulary_size > 0) return options_.vocabulary_size;
    if (!training.empty()) return diversity(training).distinct_words;
    std::vector<Tokens> references;
    for (const ScoredImage& image : set.words)
      references.insert(references.end(), image.references.begin(), image.references.end());
    return diversity(references).distinct_words;
  }

  static void add_candidates(const CaptionSet& set, MetricScores& scores) {
    std::vector<std::string> texts;
    for (const EvaluatedCaption& caption : set.captions)
      texts.insert(texts.end(), caption.candidates.begin(), caption.candidates.end());
    std::vector<Tokens> words = set.tokenizer.tokenize(texts);
    auto next = words.begin();
    bool several = false;
    std::vector<std::vector<Tokens>> candidates(set.captions.size());
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      for (std::size_t c = 0; c < set.captions[i].candidates.size(); ++c) candidates[i].push_back(std::move(*next++));
      several = several || candidates[i].size() > 1;
    }
    if (!several) return;
    scores.columns.push_back(column_of("Self-BLEU", self_bleu(candidates)));
    scores.columns.push_back(column_of("Self-CIDEr", self_cider(candidates, DocumentFrequencies(set.words))));
  }

  DiversityOptions options_;
};

}  // namespace

std::unique_ptr<CaptionMetric> make_bleu_metric() {
  return std::make_unique<BleuMetric>();
}

std::unique_ptr<CaptionMetric> make_rouge_l_metric() {
  return std::make_unique<RougeLMetric>();
}

std::unique_ptr<CaptionMetric> make_cider_d_metric(std::optional<std::filesystem::path> frequencies) {
  return std::make_unique<CiderDMetric>(std::move(frequencies));
}

std::unique_ptr<CaptionMetric> make_diversity_metric(DiversityOptions options) {
  return std::make_unique<DiversityMetric>(std::move(options));
}

}  // namespace capdiff
