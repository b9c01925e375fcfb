#include "capdiff/metrics/meteor_english.h"

namespace capdiff {
namespace {

constexpr std::string_view kFunctionWords[] = {
    // articles and other determiners
    "a", "an", "the", "this", "that", "these", "no", "all", "some", "any", "other", "one", "two", "more", "most",
    "such",
    // pronouns
    "i", "me", "my", "we", "us", "our", "you", "your", "he", "him", "his", "she", "her", "it", "its", "they", "them",
    "their", "who", "which", "what",
    // prepositions
    "of", "in", "on", "at", "to", "from", "by", "with", "for", "as", "into", "over", "up", "out", "about", "after",
    "than",
    // conjunctions
    "and", "or", "but", "if", "when", "so",
    // auxiliaries
    "is", "are", "was", "were", "be", "been", "has", "have", "had", "do", "can", "could", "will", "would", "may",
    // adverbs
    "not", "there", "also", "then", "only", "now",
    // ends of contractions
    "'s", "'t",
    // punctuation
    ".", ",", ":", ";", "!", "?", "'", "\"", "(", ")", "-", "...", "$", "%", "&", "/"};

constexpr std::u32string_view kPrefixes[] = {U"Mr",  U"Mrs", U"Ms",  U"Dr",  U"Prof", U"Rev",  U"Sr", U"Jr",
                                             U"St",  U"Mt",  U"Ft",  U"Gen", U"Col",  U"Capt", U"Lt", U"Maj",
                                             U"Sgt", U"Gov", U"Sen", U"Rep", U"Pres", U"vs"};
constexpr std::u32string_view kNumericPrefixes[] = {U"No", U"Nr", U"Fig", U"pp", U"p"};

}  // namespace

std::span<const std::string_view> english_function_words() {
  return kFunctionWords;
}

NonbreakingPrefixes english_nonbreaking_prefixes() {
  NonbreakingPrefixes prefixes;
  for (char32_t initial = U'A'; initial <= U'Z'; ++initial)
    if (initial != U'I') prefixes[{initial}] = NonbreakingPrefix::always;
  for (const auto prefix : kPrefixes) prefixes[std::u32string(prefix)] = NonbreakingPrefix::always;
  for (const auto prefix : kNumericPrefixes) prefixes[std::u32string(prefix)] = NonbreakingPrefix::before_number;
  return prefixes;
}

}  // namespace capdiff
