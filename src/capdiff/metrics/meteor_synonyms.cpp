#include "capdiff/metrics/meteor_synonyms.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxSynonymBytes = std::size_t{64} << 20;

/// Suffixes of nouns, verbs and adjectives and what base forms have in their place, in the order in which WordNet's
/// morphology tries them.
constexpr std::array<std::pair<std::string_view, std::string_view>, 20> kSuffixRules{
    {{"s", ""},    {"ses", "s"}, {"xes", "x"}, {"zes", "z"}, {"ches", "ch"}, {"shes", "sh"}, {"men", "man"},
     {"ies", "y"}, {"s", ""},    {"ies", "y"}, {"es", "e"},  {"es", ""},     {"ed", "e"},    {"ed", ""},
     {"ing", "e"}, {"ing", ""},  {"er", ""},   {"est", ""},  {"er", "e"},    {"est", "e"}}};

/// The lines of a file, and which one is being read.
class Lines {
 public:
  explicit Lines(const fs::path& path) : path_(path), text_(read_text(path, kMaxSynonymBytes)) {}

  std::optional<std::string_view> next() {
    if (at_ >= text_.size()) return std::nullopt;
    const std::size_t end = std::min(text_.find('\n', at_), text_.size());
    std::string_view line = std::string_view(text_).substr(at_, end - at_);
    at_ = end + 1;
    ++number_;
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
  }

  /// The second line of a pair.
  std::string_view next_of_pair() {
    if (const auto line = next()) return *line;
    fail(ErrorCode::invalid_input, "{} ends in the middle of an entry, after line {}", path_.string(), number_);
  }

  [[noreturn]] void refuse(std::string_view expected) const {
    fail(ErrorCode::invalid_input, "{}: line {} is not {}", path_.string(), number_, expected);
  }

 private:
  fs::path path_;
  std::string text_;
  std::size_t at_ = 0;
  std::size_t number_ = 0;
};

std::vector<std::string_view> split_fields(std::string_view line) {
  std::vector<std::string_view> fields;
  for (std::size_t at = 0; at < line.size();) {
    const std::size_t end = std::min(line.find_first_of(" \t", at), line.size());
    if (end > at) fields.push_back(line.substr(at, end - at));
    at = end + 1;
  }
  return fields;
}

std::optional<std::uint32_t> parse_number(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

void sort_unique(MeteorSynonyms::Synsets& synsets) {
  std::ranges::sort(synsets);
  synsets.erase(std::unique(synsets.begin(), synsets.end()), synsets.end());
}

std::size_t code_points(std::string_view utf8) {
  return static_cast<std::size_t>(std::ranges::count_if(utf8, [](char c) { return (c & 0xC0) != 0x80; }));
}

/// Reads "lemma part synsets pointers pointer… senses tagged offset…" for every word of index.`part`.
void read_index(const fs::path& path, std::uint32_t first_number, StringMap<MeteorSynonyms::Synsets>& synsets) {
  constexpr std::uint32_t kMaxOffset = 99'999'999;  // eight digits
  constexpr std::size_t kFieldsBeforeOffsets = 6;
  constexpr std::string_view kExpected = "an entry of a WordNet index";
  Lines lines(path);
  while (const auto line = lines.next()) {
    if (line->starts_with(' ')) continue;  // the licence
    const auto fields = split_fields(*line);
    const auto count = fields.size() > kFieldsBeforeOffsets ? parse_number(fields[2]) : std::nullopt;
    if (!count || *count == 0 || *count > fields.size() - kFieldsBeforeOffsets) lines.refuse(kExpected);
    MeteorSynonyms::Synsets& of_word = synsets[std::string(fields[0])];
    for (std::size_t i = fields.size() - *count; i < fields.size(); ++i) {
      const auto offset = parse_number(fields[i]);
      if (!offset || *offset > kMaxOffset) lines.refuse(kExpected);
      of_word.push_back(first_number + *offset);
    }
  }
}

}  // namespace

MeteorSynonyms MeteorSynonyms::from_meteor_files(const fs::path& synsets, const fs::path& exceptions) {
  MeteorSynonyms synonyms;
  Lines synset_lines(synsets);
  while (const auto word = synset_lines.next()) {
    Synsets numbers;
    for (const std::string_view field : split_fields(synset_lines.next_of_pair())) {
      const auto number = parse_number(field);
      if (!number) synset_lines.refuse("a list of synset numbers");
      numbers.push_back(*number);
    }
    sort_unique(numbers);
    synonyms.synsets_.insert_or_assign(std::string(*word), std::move(numbers));
  }
  Lines exception_lines(exceptions);
  while (const auto base = exception_lines.next()) {
    for (const std::string_view form : split_fields(exception_lines.next_of_pair()))
      synonyms.bases_[std::string(form)].emplace_back(*base);
  }
  return synonyms;
}

MeteorSynonyms MeteorSynonyms::from_wordnet(const fs::path& folder) {
  MeteorSynonyms synonyms;
  std::uint32_t first_number = 0;
  for (const std::string part : {"noun", "verb", "adj", "adv"}) {
    read_index(folder / ("index." + part), first_number, synonyms.synsets_);
    first_number += 100'000'000;
    Lines exceptions(folder / (part + ".exc"));
    while (const auto line = exceptions.next()) {
      const auto fields = split_fields(*line);
      if (fields.size() < 2) exceptions.refuse("an inflected form and its base forms");
      auto& bases = synonyms.bases_[std::string(fields[0])];
      bases.insert(bases.end(), fields.begin() + 1, fields.end());
    }
  }
  for (auto& [word, synsets] : synonyms.synsets_) sort_unique(synsets);
  return synonyms;
}

void MeteorSynonyms::add_to(Synsets& synsets, std::string_view word) const {
  if (const auto found = synsets_.find(word); found != synsets_.end())
    synsets.insert(synsets.end(), found->second.begin(), found->second.end());
}

void MeteorSynonyms::add_bases_to(Synsets& synsets, std::string_view word) const {
  if (const auto irregular = bases_.find(word); irregular != bases_.end()) {
    for (const std::string& base : irregular->second) add_to(synsets, base);
  } else {
    add_to(synsets, base_form(word));
  }
}

std::string MeteorSynonyms::base_form(std::string_view word) const {
  if (word.ends_with("ss") || code_points(word) <= 2) return std::string(word);
  for (const auto& [suffix, ending] : kSuffixRules) {
    if (!word.ends_with(suffix)) continue;
    std::string base(word.substr(0, word.size() - suffix.size()));
    base += ending;
    if (synsets_.contains(base)) return base;
  }
  return {};
}

MeteorSynonyms::Synsets MeteorSynonyms::synsets(std::string_view word) const {
  Synsets synsets;
  add_to(synsets, word);
  return synsets;
}

MeteorSynonyms::Synsets MeteorSynonyms::base_synsets(std::string_view word) const {
  Synsets synsets;
  add_bases_to(synsets, word);
  sort_unique(synsets);
  return synsets;
}

MeteorSynonyms::Synsets MeteorSynonyms::all_synsets(std::string_view word) const {
  Synsets synsets;
  add_to(synsets, word);
  add_bases_to(synsets, word);
  sort_unique(synsets);
  return synsets;
}

}  // namespace capdiff
