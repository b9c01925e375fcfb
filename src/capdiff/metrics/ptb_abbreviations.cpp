#include "capdiff/metrics/ptb_abbreviations.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace capdiff {
namespace {

constexpr std::string_view kMayEndSentence[] = {
    "al",   "ala",   "apr",  "ariz", "assn", "aug", "bancorp", "bhd", "bldg", "blvd", "bros", "calif", "co",
    "colo", "conn",  "corp", "cos",  "ct",   "dak", "dec",     "esq", "est",  "etc",  "ext",  "feb",   "fla",
    "fri",  "ga",    "inc",  "ind",  "intl", "jan", "jr",      "jul", "jun",  "kan",  "kans", "ky",    "ltd",
    "mar",  "md",    "mich", "minn", "mo",   "mon", "mont",    "neb", "nev",  "nov",  "oct",  "okla",  "penn",
    "plc",  "pte",   "pty",  "rd",   "rt",   "sep", "sept",    "seq", "sq",   "sr",   "sys",  "tel",   "tenn",
    "thu",  "thurs", "tue",  "tues", "univ", "va",  "vt",      "wed", "wis",  "wisc", "wyo"};
// States whose name is another word where it is not capitalised.
constexpr std::string_view kMayEndSentenceCapitalised[] = {"ark",  "del", "ill", "la",  "mass",
                                                           "miss", "ore", "pa",  "tex", "wash"};
constexpr std::string_view kTitles[] = {
    "adj",  "adm",   "adv",  "alex",  "assoc", "asst", "atty",   "attys", "ave",  "brig", "capt", "cf",  "cie",  "cmdr",
    "col",  "comdr", "cpl",  "dept",  "det",   "dr",   "drs",    "elec",  "ens",  "ft",   "gen",  "gov", "govs", "hon",
    "insp", "invt",  "jos",  "lieut", "lt",    "maj",  "messrs", "mfg",   "mlle", "mme",  "mr",   "mrs", "ms",   "msgr",
    "mt",   "mtg",   "natl", "pfc",   "ph",    "pres", "prof",   "profs", "pvt",  "rep",  "reps", "rev", "sen",  "sens",
    "sfc",  "sgt",   "spc",  "st",    "ste",   "supt", "supts",  "treas", "vs",   "wm"};
constexpr std::string_view kBeforeNumber[] = {"art", "ca", "fig", "figs", "no", "nos", "op", "pp", "prop"};
constexpr std::string_view kSentenceOpeners[] = {
    "a",    "about", "according", "additionally", "after", "an",    "as",    "at",    "but",   "earlier",
    "he",   "her",   "here",      "however",      "if",    "in",    "it",    "last",  "many",  "more",
    "mr.",  "ms.",   "now",       "once",         "one",   "other", "our",   "she",   "since", "so",
    "some", "such",  "that",      "the",          "their", "then",  "there", "these", "they",  "this",
    "we",   "when",  "while",     "what",         "yet",   "you"};

constexpr std::size_t kLongestWord = 12;

std::string lower_ascii(std::u32string_view word) {
  std::string lower;
  for (const char32_t c : word) lower.push_back(static_cast<char>(is_ascii_upper(c) ? c + 32 : c));
  return lower;
}

template <std::size_t N>
bool is_listed(const std::string_view (&words)[N], std::string_view word) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

}  // namespace

PtbAbbreviation find_ptb_abbreviation(const PtbText& text, std::size_t begin, std::size_t dot) {
  if (dot - begin > kLongestWord) return PtbAbbreviation::none;
  const std::string word = lower_ascii(text.between(begin, dot));
  const bool capitalised = is_ascii_upper(text[begin]);
  if (is_listed(kMayEndSentence, word) || (capitalised && is_listed(kMayEndSentenceCapitalised, word))) {
    return PtbAbbreviation::may_end_sentence;
  }
  if (is_listed(kTitles, word)) return PtbAbbreviation::title;
  if (is_listed(kBeforeNumber, word)) return PtbAbbreviation::before_number;
  return PtbAbbreviation::none;
}

std::size_t ptb_sentence_opener(const PtbText& text, std::size_t at) {
  if (!is_ascii_upper(text[at])) return 0;
  const auto end = text.run_end(at, [](char32_t c) { return is_ascii_letter(c) || c == U'.'; });
  if (end - at > kLongestWord || !is_ptb_white_space(text[end])) return 0;
  return is_listed(kSentenceOpeners, lower_ascii(text.between(at, end))) ? end - at : 0;
}

}  // namespace capdiff
