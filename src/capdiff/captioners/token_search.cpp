#include "capdiff/captioners/token_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

constexpr double kImpossible = -std::numeric_limits<double>::infinity();

/// The `count` largest finite logits, largest first, the lowest token first among equals.
std::vector<std::int64_t> best_tokens(std::span<const float> logits, std::size_t count) {
  std::vector<std::int64_t> best;
  const auto logit = [&](std::int64_t token) { return logits[static_cast<std::size_t>(token)]; };
  for (std::size_t id = 0; id < logits.size(); ++id) {
    if (!(logits[id] > -std::numeric_limits<float>::infinity())) continue;
    if (best.size() == count && logits[id] <= logit(best.back())) continue;
    const auto place = std::ranges::upper_bound(
        best, logits[id], [](float a, float b) { return a > b; }, logit);
    best.insert(place, static_cast<std::int64_t>(id));
    if (best.size() > count) best.pop_back();
  }
  return best;
}

/// One picture's part of a beam search.
class PictureSearch {
 public:
  PictureSearch(std::span<const std::int64_t> prompt, const TokenRules& rules, const BeamSettings& settings)
      : rules_(&rules), settings_(&settings) {
    beams_.push_back({{prompt.begin(), prompt.end()}, 0.0});
  }

  bool done() const { return done_; }

  /// Continues the beams of picture number `picture`; the first of them stands in row `first` of what is next.
  void step(const NextTokens& next, std::size_t first, std::size_t picture,
            const std::function<void(const BeamStep&)>& observe) {
    const std::vector<BeamStep::Candidate> candidates = continuations(next, first);
    if (candidates.empty()) fail(ErrorCode::invalid_model, "nothing may follow a text of {} tokens", length());
    const std::int64_t before = length();
    const auto width = static_cast<std::size_t>(settings_->beams);
    std::vector<WrittenText> beams;
    parents_.clear();
    for (std::size_t rank = 0; rank < candidates.size() && beams.size() < width; ++rank) {
      const BeamStep::Candidate& candidate = candidates[rank];
      const WrittenText& parent = beams_[static_cast<std::size_t>(candidate.beam)];
      if (candidate.token == rules_->end) {
        if (rank < width) finish(parent.tokens, candidate.score);
        continue;
      }
      beams.push_back({parent.tokens, candidate.score});
      beams.back().tokens.push_back(candidate.token);
      parents_.push_back(candidate.beam);
    }
    done_ =
        beams.empty() || (finished_.size() == width && finished_.back().score >= scored(candidates[0].score, before));
    if (observe) observe({picture, before, candidates, beams, finished_});
    if (beams.empty()) return;
    // A row a beam, whatever becomes of it.
    while (beams.size() < width) {
      beams.push_back({beams.front().tokens, kImpossible});
      parents_.push_back(parents_.front());
    }
    beams_ = std::move(beams);
  }

  /// Which rows the beams go on from, and with what.
  void append_rows(std::size_t first, std::vector<std::int64_t>& parents, std::vector<std::int64_t>& tokens) const {
    for (std::size_t beam = 0; beam < static_cast<std::size_t>(settings_->beams); ++beam) {
      parents.push_back(static_cast<std::int64_t>(first) + (beam < parents_.size() ? parents_[beam] : 0));
      tokens.push_back(beam < beams_.size() ? beams_[beam].tokens.back() : rules_->end);
    }
  }

  /// The best text, those among them that have reached the maximal length.
  WrittenText best() {
    if (!done_)
      for (const WrittenText& beam : beams_)
        if (beam.score > kImpossible) finish(beam.tokens, beam.score);
    return finished_.front();
  }

 private:
  std::int64_t length() const { return static_cast<std::int64_t>(beams_.front().tokens.size()); }
  double scored(double sum, std::int64_t length) const {
    return sum / std::pow(static_cast<double>(length), settings_->length_penalty);
  }

  std::vector<BeamStep::Candidate> continuations(const NextTokens& next, std::size_t first) const {
    const auto count = static_cast<std::size_t>(2 * settings_->beams);
    std::vector<BeamStep::Candidate> candidates;
    for (std::size_t beam = 0; beam < beams_.size(); ++beam) {
      const WrittenText& text = beams_[beam];
      if (text.score == kImpossible) continue;
      const double log_sum = next.log_sums[first + beam];
      std::vector<float> logits(next.row(first + beam).begin(), next.row(first + beam).end());
      penalise_repetition(logits, text.tokens, rules_->repetition_penalty, settings_->beams == 1 ? 0.0 : log_sum);
      forbid_tokens(logits, text.tokens, *rules_);
      for (const std::int64_t token : best_tokens(logits, count))
        candidates.push_back({static_cast<std::int64_t>(beam), token,
                              text.score + static_cast<double>(logits[static_cast<std::size_t>(token)]) - log_sum});
    }
    std::ranges::stable_sort(candidates, std::greater<>(), &BeamStep::Candidate::score);
    candidates.resize(std::min(candidates.size(), count));
    return candidates;
  }

  /// Keeps as many texts as there are beams, the best ones.
  void finish(const std::vector<std::int64_t>& tokens, double sum) {
    const double score = scored(sum, static_cast<std::int64_t>(tokens.size()));
    const auto place = std::ranges::upper_bound(finished_, score, std::greater<>(), &WrittenText::score);
    finished_.insert(place, WrittenText{tokens, score});
    if (finished_.size() > static_cast<std::size_t>(settings_->beams)) finished_.pop_back();
  }

  const TokenRules* rules_;
  const BeamSettings* settings_;
  std::vector<WrittenText> beams_;
  std::vector<std::int64_t> parents_;  // of the beams, among those before
  std::vector<WrittenText> finished_;  // the best one first
  bool done_ = false;
};

void require_room(std::span<const std::int64_t> prompt, const TokenRules& rules) {
  if (prompt.empty() || static_cast<std::int64_t>(prompt.size()) >= rules.max_length)
    fail(ErrorCode::internal, "[token_search] a prompt of {} tokens, of {} that a text may have", prompt.size(),
         rules.max_length);
}

/// The place of a number of [0, 1) among probabilities.
std::int64_t drawn(std::span<const TokenProbability> tokens, double number) {
  for (const TokenProbability& token : tokens) {
    if (number < token.probability) return token.token;
    number -= token.probability;
  }
  return tokens.back().token;  // what rounding leaves over
}

}  // namespace

std::span<const float> NextTokens::row(std::size_t i) const {
  const auto size = static_cast<std::size_t>(logits.shape().cols());
  return logits.values<float>().subspan(i * size, size);
}

std::vector<WrittenText> beam_search(TokenWriter& writer, std::size_t pictures, std::span<const std::int64_t> prompt,
                                     const TokenRules& rules, const BeamSettings& settings,
                                     const std::function<void(const BeamStep&)>& observe) {
  require_room(prompt, rules);
  std::vector<PictureSearch> searches(pictures, PictureSearch(prompt, rules, settings));
  NextTokens next = writer.begin(prompt);
  std::size_t rows = 1;  // of each picture
  for (auto length = static_cast<std::int64_t>(prompt.size());;) {
    for (std::size_t i = 0; i < pictures; ++i)
      if (!searches[i].done()) searches[i].step(next, i * rows, i, observe);
    if (++length >= rules.max_length || std::ranges::all_of(searches, &PictureSearch::done)) break;
    std::vector<std::int64_t> parents, tokens;
    for (std::size_t i = 0; i < pictures; ++i) searches[i].append_rows(i * rows, parents, tokens);
    next = writer.next(parents, tokens);
    rows = static_cast<std::size_t>(settings.beams);
  }
  std::vector<WrittenText> texts;
  for (PictureSearch& search : searches) texts.push_back(search.best());
  return texts;
}

std::vector<TokenProbability> nucleus(std::span<const float> logits, const SamplingSettings& settings) {
  const double top = static_cast<double>(*std::ranges::max_element(logits));
  if (!std::isfinite(top)) fail(ErrorCode::invalid_model, "no token may follow");
  std::vector<TokenProbability> tokens(logits.size());
  double sum = 0.0;
  for (std::size_t id = 0; id < logits.size(); ++id) {
    const double weight = std::exp((static_cast<double>(logits[id]) - top) / settings.temperature);
    tokens[id] = {static_cast<std::int64_t>(id), weight};
    sum += weight;
  }
  const auto before = [](const TokenProbability& a, const TokenProbability& b) {
    return a.probability != b.probability ? a.probability > b.probability : a.token < b.token;
  };
  // The nucleus is small most often: the order of the others does not matter.
  double kept = 0.0;
  std::size_t count = 0;
  for (std::size_t sorted = 0; count < tokens.size() && kept <= settings.top_p * sum;) {
    if (count == sorted) {
      const std::size_t end = std::min(tokens.size(), 16 * std::max<std::size_t>(4, sorted));
      const auto at = [&](std::size_t i) { return tokens.begin() + static_cast<std::ptrdiff_t>(i); };
      std::partial_sort(at(sorted), at(end), tokens.end(), before);
      sorted = end;
    }
    if (tokens[count].probability == 0.0) break;
    kept += tokens[count++].probability;
  }
  tokens.resize(count);
  for (TokenProbability& token : tokens) token.probability /= kept;
  return tokens;
}

std::vector<WrittenText> sample_texts(TokenWriter& writer, std::size_t pictures, std::span<const std::int64_t> prompt,
                                      const TokenRules& rules, const SamplingSettings& settings,
                                      std::span<RandomStream> random) {
  require_room(prompt, rules);
  const std::size_t count = random.size(), each = count / pictures;
  std::vector<WrittenText> texts(count, WrittenText{{prompt.begin(), prompt.end()}, 0.0});
  std::vector<bool> ended(count, false);
  std::vector<std::int64_t> parents(count), tokens(count);
  for (std::size_t r = 0; r < count; ++r) parents[r] = static_cast<std::int64_t>(r / each);
  NextTokens next = writer.begin(prompt);
  for (auto length = static_cast<std::int64_t>(prompt.size());;) {
    for (std::size_t r = 0; r < count; ++r) {
      tokens[r] = rules.end;
      if (ended[r]) continue;
      WrittenText& text = texts[r];
      const auto row = static_cast<std::size_t>(parents[r]);
      const auto logits = next.row(row);
      tokens[r] = drawn(nucleus(ruled_logits(logits, text.tokens, rules), settings), random[r].uniform());
      text.score += static_cast<double>(logits[static_cast<std::size_t>(tokens[r])]) - next.log_sums[row];
      ended[r] = tokens[r] == rules.end;
      if (!ended[r]) text.tokens.push_back(tokens[r]);
    }
    if (++length >= rules.max_length || std::ranges::find(ended, false) == ended.end()) break;
    next = writer.next(parents, tokens);
    std::iota(parents.begin(), parents.end(), 0);
  }
  for (std::size_t r = 0; r < count; ++r)
    texts[r].score /= static_cast<double>(texts[r].tokens.size() - prompt.size() + (ended[r] ? 1 : 0));
  return texts;
}

}  // namespace capdiff
