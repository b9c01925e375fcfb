#include "capdiff/evaluation/candidate_groups.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>

#include "capdiff/base/error.h"
#include "capdiff/base/parallel.h"
#include "capdiff/metrics/bleu.h"
#include "capdiff/metrics/cider_d.h"
#include "capdiff/metrics/diversity.h"
#include "capdiff/selection/relevance.h"

namespace capdiff {
namespace {

constexpr std::size_t kMostCandidates = 1024;

/// The candidates of every image in words.
std::vector<std::vector<Tokens>> words_of_candidates(const CaptionSet& set) {
  std::vector<std::string> texts;
  for (const EvaluatedCaption& caption : set.captions)
    texts.insert(texts.end(), caption.candidates.begin(), caption.candidates.end());
  std::vector<Tokens> words = set.tokenizer.tokenize(texts);
  auto next = words.begin();
  std::vector<std::vector<Tokens>> candidates;
  for (const EvaluatedCaption& caption : set.captions) {
    const auto end = next + static_cast<std::ptrdiff_t>(caption.candidates.size());
    candidates.emplace_back(std::make_move_iterator(next), std::make_move_iterator(end));
    next = end;
  }
  return candidates;
}

/// Which of the first `count` candidates of each image a selection takes.
std::vector<std::size_t> chosen(const CaptionSet& set, const CandidateGroupOptions& options, std::string_view selection,
                                std::size_t count) {
  std::vector<std::size_t> result(set.captions.size(), 0);
  if (selection == "first") return result;
  parallel_for(result.size(), [&](std::size_t i) {
    result[i] = selection == "mbr"
                    ? minimum_bayes_risk(std::span(set.captions[i].candidates).first(count), options.utility).chosen
                    : most_relevant(std::span(options.cosines[i]).first(count));
  });
  return result;
}

std::vector<std::pair<std::string, double>> diversity_values(const std::vector<std::vector<Tokens>>& candidates,
                                                             std::size_t count, std::int64_t vocabulary) {
  std::vector<Tokens> all;
  for (const std::vector<Tokens>& of_image : candidates)
    all.insert(all.end(), of_image.begin(), of_image.begin() + static_cast<std::ptrdiff_t>(count));
  const Diversity varied = diversity(all);
  std::vector<std::pair<std::string, double>> values;
  for (std::size_t n = 0; n < varied.dist.size(); ++n)
    values.emplace_back(fmt::format("Dist-{}", n + 1), varied.dist[n]);
  values.emplace_back("Words", static_cast<double>(varied.distinct_words));
  if (vocabulary > 0) values.emplace_back("Vocabulary", varied.vocabulary_usage(vocabulary));
  return values;
}

void check_groups(const CaptionSet& set, const CandidateGroupOptions& options) {
  for (std::size_t i = 0; i < set.captions.size(); ++i) {
    const std::size_t candidates = set.captions[i].candidates.size();
    for (const std::size_t count : options.counts)
      if (count == 0 || count > candidates)
        fail(ErrorCode::invalid_input, "image {} has {} candidates, not {}", set.captions[i].id, candidates, count);
    if (!options.cosines.empty() && options.cosines.at(i).size() != candidates)
      fail(ErrorCode::invalid_input, "image {} has {} candidates, but {} cosines", set.captions[i].id, candidates,
           options.cosines[i].size());
  }
}

}  // namespace

std::vector<std::size_t> candidate_counts(std::string_view text) {
  std::vector<std::size_t> counts;
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  for (;;) {
    std::size_t count = 0;
    const auto [stop, error] = std::from_chars(at, end, count);
    if (error != std::errc() || (stop != end && *stop != ',') || count == 0 || count > kMostCandidates ||
        (!counts.empty() && count <= counts.back()))
      fail(ErrorCode::usage, "\"{}\": expected rising numbers of candidates, of 1 to {}, as in 1,5,10", text,
           kMostCandidates);
    counts.push_back(count);
    if (stop == end) return counts;
    at = stop + 1;
  }
}

std::vector<CandidateGroup> group_by_candidates(const CaptionSet& set, const CandidateGroupOptions& options) {
  check_groups(set, options);
  const std::vector<std::vector<Tokens>> words = words_of_candidates(set);
  std::vector<Tokens> references;
  for (const ScoredImage& image : set.words)
    references.insert(references.end(), image.references.begin(), image.references.end());
  const std::int64_t vocabulary = diversity(references).distinct_words;
  std::vector<ScoredImage> images(set.words.begin(), set.words.end());
  std::vector<CandidateGroup> groups;
  for (const std::size_t count : options.counts) {
    const auto varied = diversity_values(words, count, vocabulary);
    const double seconds =
        count == options.counts.back() ? options.seconds_per_image : std::numeric_limits<double>::quiet_NaN();
    for (const std::string_view selection : {"first", "mbr", "clip"}) {
      if (selection != "first" && count == 1) continue;
      if (selection == "clip" && options.cosines.empty()) continue;
      const std::vector<std::size_t> choice = chosen(set, options, selection, count);
      double cosines = 0.0;
      for (std::size_t i = 0; i < images.size(); ++i) {
        images[i].candidate = words[i][choice[i]];
        if (!options.cosines.empty()) cosines += options.cosines[i][choice[i]];
      }
      CandidateGroup group{count, std::string(selection), {}};
      group.values.emplace_back("BLEU-4", bleu(images)[3].corpus);
      group.values.emplace_back("CIDEr-D", cider_d(images).corpus);
      if (!options.cosines.empty()) group.values.emplace_back("CLIP", cosines / static_cast<double>(images.size()));
      group.values.insert(group.values.end(), varied.begin(), varied.end());
      group.values.emplace_back("Seconds", seconds);
      groups.push_back(std::move(group));
    }
  }
  return groups;
}

}  // namespace capdiff
