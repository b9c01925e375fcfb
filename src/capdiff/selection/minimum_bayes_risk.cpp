#include "capdiff/selection/minimum_bayes_risk.h"

#include <algorithm>

#include "capdiff/base/error.h"
#include "capdiff/metrics/bleu.h"
#include "capdiff/metrics/caption_tokens.h"
#include "capdiff/metrics/cider_d.h"

namespace capdiff {
namespace {

std::vector<double> cider_d_against(const std::vector<Tokens>& captions, std::size_t i,
                                    const DocumentFrequencies& frequencies) {
  std::vector<ScoredImage> pairs;
  for (const Tokens& reference : captions) pairs.push_back({"", captions[i], {reference}});
  return cider_d(pairs, frequencies).per_image;
}

}  // namespace

Utility utility(std::string_view name) {
  for (const Utility utility : {Utility::bleu, Utility::bleu_method4, Utility::cider_d})
    if (name == name_of(utility)) return utility;
  fail(ErrorCode::usage, "unknown utility '{}'; known: bleu, bleu-method4, cider-d", name);
}

std::string_view name_of(Utility utility) {
  switch (utility) {
    case Utility::bleu: return "bleu";
    case Utility::bleu_method4: return "bleu-method4";
    case Utility::cider_d: return "cider-d";
  }
  return "";
}

std::vector<std::vector<double>> utilities(std::span<const std::string> captions, Utility utility) {
  const std::vector<Tokens> words = WhiteSpaceTokenizer().tokenize(captions);
  std::vector<std::vector<double>> table(words.size());
  if (words.empty()) return table;
  if (utility == Utility::cider_d) {
    std::vector<std::vector<Tokens>> corpus;
    for (const Tokens& caption : words) corpus.push_back({caption});
    const DocumentFrequencies frequencies(corpus);
    for (std::size_t i = 0; i < words.size(); ++i) table[i] = cider_d_against(words, i, frequencies);
    return table;
  }
  const BleuSmoothing smoothing = utility == Utility::bleu ? BleuSmoothing::add_one : BleuSmoothing::method4;
  for (std::size_t i = 0; i < words.size(); ++i)
    for (const Tokens& reference : words)
      table[i].push_back(sentence_bleu(words[i], std::span(&reference, 1), smoothing));
  return table;
}

MinimumBayesRisk minimum_bayes_risk(std::span<const std::string> captions, Utility utility) {
  if (captions.empty()) fail(ErrorCode::invalid_input, "there is no caption to choose from");
  const auto table = utilities(captions, utility);
  MinimumBayesRisk result;
  for (std::size_t i = 0; i < table.size(); ++i) {
    double sum = 0.0;
    for (std::size_t j = 0; j < table.size(); ++j)
      if (j != i) sum += table[i][j];
    result.scores.push_back(table.size() > 1 ? sum / static_cast<double>(table.size() - 1) : 0.0);
  }
  result.chosen = static_cast<std::size_t>(std::ranges::max_element(result.scores) - result.scores.begin());
  return result;
}

}  // namespace capdiff
