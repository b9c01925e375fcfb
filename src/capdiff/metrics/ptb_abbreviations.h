#pragma once

#include <cstddef>

#include "capdiff/metrics/ptb_text.h"

namespace capdiff {

/// How the dot of an abbreviation is read.
enum class PtbAbbreviation {
  none,
  /// Months, states, companies: the dot belongs to the word, and at the end of a sentence it is a full stop as well.
  may_end_sentence,
  /// Titles: the dot belongs to the word.
  title,
  /// `no.`, `fig.`: the dot belongs to the word before a number only.
  before_number,
};

/// The abbreviation whose dot is at `dot`, of the letters from `begin` to there.
PtbAbbreviation find_ptb_abbreviation(const PtbText& text, std::size_t begin, std::size_t dot);

/// Length of a capitalised word at `at` that opens sentences (`The`, `However`), after which a letter's dot is a full
/// stop. White space must follow it, and is not counted.
std::size_t ptb_sentence_opener(const PtbText& text, std::size_t at);

}  // namespace capdiff
