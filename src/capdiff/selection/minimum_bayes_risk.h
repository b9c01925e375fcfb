#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace capdiff {

/// How much of one caption another one says.
enum class Utility {
  bleu,          ///< sentence BLEU-4, add-one smoothing for n ≥ 2
  bleu_method4,  ///< sentence BLEU-4, smoothing "method 4" of Chen and Cherry
  cider_d,       ///< CIDEr-D, with document frequencies over the candidates
};

Utility utility(std::string_view name);
std::string_view name_of(Utility utility);

/// U(captions[i], captions[j]) at [i][j], over words between white space.
std::vector<std::vector<double>> utilities(std::span<const std::string> captions, Utility utility);

struct MinimumBayesRisk {
  std::size_t chosen = 0;
  std::vector<double> scores;  ///< mean over j ≠ i of U(i, j); 0 where there is no other caption
};

/// The caption that agrees best with all others drawn for the picture: the one of highest score, the first of equals.
/// No captions are an Error(invalid_input).
MinimumBayesRisk minimum_bayes_risk(std::span<const std::string> captions, Utility utility);

}  // namespace capdiff
