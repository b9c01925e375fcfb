#include "capdiff/metrics/meteor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "capdiff/base/error.h"
#include "capdiff/base/parallel.h"
#include "capdiff/metrics/meteor_aligner.h"

namespace capdiff {
namespace {

constexpr std::size_t kMaxBeam = 1000;

std::int64_t count_function_words(MeteorSentence sentence) {
  return std::ranges::count(sentence, true, &MeteorWord::is_function_word);
}

/// Chunks are runs of matches that follow one another on both sides.
std::int64_t count_chunks(std::span<const MeteorMatch> alignment) {
  std::int64_t chunks = 0;
  std::int32_t reference_end = -1;
  std::int32_t hypothesis_end = -1;
  for (const MeteorMatch& match : alignment) {
    if (match.reference_begin != reference_end || match.hypothesis_begin != hypothesis_end) ++chunks;
    reference_end = match.reference_begin + match.reference_words;
    hypothesis_end = match.hypothesis_begin + match.hypothesis_words;
  }
  return chunks;
}

MeteorStatistics count(MeteorSentence hypothesis, MeteorSentence reference, std::span<const MeteorMatch> alignment) {
  MeteorStatistics statistics;
  statistics.hypothesis_words = static_cast<std::int64_t>(hypothesis.size());
  statistics.reference_words = static_cast<std::int64_t>(reference.size());
  statistics.hypothesis_function_words = count_function_words(hypothesis);
  statistics.reference_function_words = count_function_words(reference);
  for (const MeteorMatch& match : alignment) {
    MeteorModuleCounts& counts = statistics.modules[match.module];
    const auto function = count_function_words(hypothesis.subspan(match.hypothesis_begin, match.hypothesis_words));
    counts.hypothesis_function += function;
    counts.hypothesis_content += match.hypothesis_words - function;
    const auto of_reference = count_function_words(reference.subspan(match.reference_begin, match.reference_words));
    counts.reference_function += of_reference;
    counts.reference_content += match.reference_words - of_reference;
  }
  statistics.chunks = count_chunks(alignment);
  return statistics;
}

/// As Java prints it: 1.0, 0.85.
std::string decimal(double number) {
  std::string text = fmt::format("{}", number);
  if (text.find_first_not_of("-0123456789") == std::string::npos) text += ".0";
  return text;
}

std::string_view short_name(MeteorModule module) {
  switch (module) {
    case MeteorModule::exact: return "ex";
    case MeteorModule::stem: return "st";
    case MeteorModule::synonym: return "sy";
    case MeteorModule::paraphrase: return "pa";
  }
  return "";
}

void check(const MeteorOptions& options) {
  const auto require = [](bool holds, const char* what) {
    if (!holds) fail(ErrorCode::usage, "METEOR: {}", what);
  };
  const auto is_share = [](double value) { return value >= 0 && value <= 1; };
  require(is_share(options.alpha), "alpha is not in [0, 1]");
  require(options.beta >= 0 && std::isfinite(options.beta), "beta is negative or not finite");
  require(is_share(options.gamma), "gamma is not in [0, 1]");
  require(is_share(options.delta), "delta is not in [0, 1]");
  require(options.beam >= 1 && options.beam <= kMaxBeam, "the beam is not in [1, 1000]");
  const auto& modules = options.modules;
  require(!modules.empty() && modules.front().module == MeteorModule::exact, "the first module is not exact");
  for (std::size_t i = 0; i < modules.size(); ++i) {
    require(std::ranges::count(modules, modules[i].module, &MeteorWeight::module) == 1, "a module is named twice");
    require(modules[i].weight >= 0 && std::isfinite(modules[i].weight), "a weight is negative or not finite");
  }
}

}  // namespace

std::int64_t MeteorStatistics::hypothesis_matches() const {
  std::int64_t matches = 0;
  for (const auto& counts : modules) matches += counts.hypothesis_content + counts.hypothesis_function;
  return matches;
}

std::int64_t MeteorStatistics::reference_matches() const {
  std::int64_t matches = 0;
  for (const auto& counts : modules) matches += counts.reference_content + counts.reference_function;
  return matches;
}

bool MeteorStatistics::is_perfect() const {
  return hypothesis_matches() == hypothesis_words && reference_matches() == reference_words && chunks == 1;
}

MeteorStatistics& MeteorStatistics::operator+=(const MeteorStatistics& other) {
  hypothesis_words += other.hypothesis_words;
  reference_words += other.reference_words;
  hypothesis_function_words += other.hypothesis_function_words;
  reference_function_words += other.reference_function_words;
  for (std::size_t i = 0; i < modules.size(); ++i) {
    modules[i].hypothesis_content += other.modules[i].hypothesis_content;
    modules[i].reference_content += other.modules[i].reference_content;
    modules[i].hypothesis_function += other.modules[i].hypothesis_function;
    modules[i].reference_function += other.modules[i].reference_function;
  }
  if (!other.is_perfect()) chunks += other.chunks;
  return *this;
}

/// Scores images one after the other. For one thread.
class Meteor::Scorer {
 public:
  explicit Scorer(const Meteor& meteor)
      : meteor_(meteor), lexicon_(*meteor.resources_), aligner_(meteor.options_.beam) {
    for (const MeteorWeight& weight : meteor.options_.modules) modules_.push_back(weight.module);
  }

  template <class References>
  MeteorScore score(const std::string& hypothesis, const References& references) {
    const auto hypothesis_words = words(hypothesis);
    MeteorScore best;
    for (const auto& reference : references) {
      const auto reference_words = words(reference);
      matches_.find(hypothesis_words, reference_words, modules_, meteor_.resources_->paraphrases());
      auto alignment = aligner_.align(matches_, modules_);
      const MeteorStatistics statistics = count(hypothesis_words, reference_words, alignment);
      const MeteorValues values = meteor_.values(statistics);
      const std::size_t index = best.reference_scores.size();
      best.reference_scores.push_back(values.score);
      if (index > 0 && values.score <= best.values.score) continue;
      best.values = values;
      best.best_reference = index;
      best.statistics = statistics;
      best.alignment = std::move(alignment);
    }
    return best;
  }

 private:
  std::vector<const MeteorWord*> words(const std::string& text) {
    return lexicon_[meteor_.resources_->normalizer().words(text, meteor_.options_.punctuation)];
  }
  std::vector<const MeteorWord*> words(const Tokens& tokens) { return words(joined(tokens)); }

  const Meteor& meteor_;
  std::vector<MeteorModule> modules_;
  MeteorLexicon lexicon_;
  MeteorMatches matches_;
  MeteorAligner aligner_;
};

Meteor::Meteor(std::shared_ptr<const MeteorResources> resources, MeteorOptions options)
    : resources_(std::move(resources)), options_(std::move(options)) {
  check(options_);
}

MeteorScore Meteor::score(const std::string& hypothesis, std::span<const std::string> references) const {
  if (references.empty()) fail(ErrorCode::invalid_input, "METEOR needs at least one reference");
  return Scorer(*this).score(hypothesis, references);
}

std::vector<MeteorScore> Meteor::score(std::span<const ScoredImage> images, int threads) const {
  require_references(images);
  std::vector<MeteorScore> scores(images.size());
  parallel_ranges(static_cast<std::int64_t>(images.size()), threads, [&](std::int64_t begin, std::int64_t end) {
    Scorer scorer(*this);
    for (std::int64_t i = begin; i < end; ++i)
      scores[i] = scorer.score(joined(images[i].candidate), images[i].references);
  });
  return scores;
}

MeteorValues Meteor::values(const MeteorStatistics& statistics) const {
  const double delta = options_.delta;
  const auto weighted = [delta](std::int64_t content, std::int64_t function) {
    return delta * static_cast<double>(content) + (1.0 - delta) * static_cast<double>(function);
  };
  double hypothesis = 0;
  double reference = 0;
  for (std::size_t i = 0; i < options_.modules.size(); ++i) {
    const MeteorModuleCounts& counts = statistics.modules[i];
    hypothesis += options_.modules[i].weight * weighted(counts.hypothesis_content, counts.hypothesis_function);
    reference += options_.modules[i].weight * weighted(counts.reference_content, counts.reference_function);
  }
  MeteorValues values;
  values.precision = hypothesis / weighted(statistics.hypothesis_words - statistics.hypothesis_function_words,
                                           statistics.hypothesis_function_words);
  values.recall = reference / weighted(statistics.reference_words - statistics.reference_function_words,
                                       statistics.reference_function_words);
  values.f_mean = 1.0 / ((1.0 - options_.alpha) / values.precision + options_.alpha / values.recall);
  const double matched_words =
      static_cast<double>(statistics.hypothesis_matches() + statistics.reference_matches()) / 2.0;
  const double fragmentation = statistics.is_perfect() ? 0.0 : static_cast<double>(statistics.chunks) / matched_words;
  values.penalty = options_.gamma * std::pow(fragmentation, options_.beta);
  const double score = values.f_mean * (1.0 - values.penalty);
  values.score = std::isnan(score) ? 0.0 : std::max(score, 0.0);
  return values;
}

std::string Meteor::signature() const {
  std::vector<std::string_view> names;
  std::vector<std::string> weights;
  for (const MeteorWeight& weight : options_.modules) {
    if (weight.module == MeteorModule::paraphrase && resources_->paraphrases().empty()) continue;
    names.push_back(short_name(weight.module));
    weights.push_back(decimal(weight.weight));
  }
  return fmt::format("meteor-1.5-wo-en-norm{}-{}_{}_{}_{}-{}-{}-{}",
                     options_.punctuation == MeteorPunctuation::remove ? "_nopunct" : "", decimal(options_.alpha),
                     decimal(options_.beta), decimal(options_.gamma), decimal(options_.delta), fmt::join(names, "_"),
                     fmt::join(weights, "_"), resources_->name());
}

MetricResult meteor(std::span<const ScoredImage> images, const Meteor& meteor, int threads) {
  MetricResult result;
  MeteorStatistics corpus;
  for (const MeteorScore& score : meteor.score(images, threads)) {
    corpus += score.statistics;
    result.per_image.push_back(score.values.score);
  }
  result.corpus = meteor.values(corpus).score;
  return result;
}

}  // namespace capdiff
