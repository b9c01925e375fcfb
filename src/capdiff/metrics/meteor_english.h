#pragma once

#include <span>
#include <string_view>

#include "capdiff/metrics/meteor_normalizer.h"

/// Lists of English for METEOR where its own data are not at hand. They are ours, and not METEOR's.
namespace capdiff {

/// Words of grammar rather than content, in lower case: articles, pronouns, prepositions, conjunctions, auxiliaries
/// and adverbs that make up about one word in a thousand of written English or more; with them the numbers one and
/// two, the ends of contractions as the normaliser cuts them ('s, 't) and punctuation marks.
std::span<const std::string_view> english_function_words();

/// Initials, titles, and abbreviations in front of names and numbers.
NonbreakingPrefixes english_nonbreaking_prefixes();

}  // namespace capdiff
