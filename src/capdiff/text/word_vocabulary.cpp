#include "capdiff/text/word_vocabulary.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/text/basic_tokenizer.h"
#include "capdiff/text/unicode.h"

namespace capdiff {
namespace {

constexpr std::string_view kStart = "START", kEnd = "END", kUnknown = "UNK", kPadding = "PAD";

bool has_letter_or_digit(const std::string& word) {
  const std::u32string points = decode_utf8(word);
  return !std::ranges::all_of(points, [](char32_t c) { return is_punctuation(c); });
}

std::vector<std::string> split_at_spaces(std::string_view text) {
  std::vector<std::string> words;
  for (;;) {
    const std::size_t end = text.find(' ');
    words.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return words;
    text.remove_prefix(end + 1);
  }
}

std::string_view without_outer_spaces(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

}  // namespace

std::vector<std::string> caption_words(std::string_view text) {
  std::vector<std::string> words = split_words(text);
  std::erase_if(words, [](const std::string& word) { return !has_letter_or_digit(word); });
  return words;
}

WordVocabulary::WordVocabulary(std::vector<std::string> words, std::string_view origin)
    : words_(std::move(words)), ids_(ids_by_token(words_, origin)) {
  const auto require = [&](std::string_view word) {
    const auto found = ids_.find(word);
    if (found == ids_.end()) fail(ErrorCode::invalid_model, "{}: the word {} is missing", origin, word);
    return found->second;
  };
  start_ = require(kStart);
  end_ = require(kEnd);
  unk_ = require(kUnknown);
  pad_ = require(kPadding);
}

WordVocabulary WordVocabulary::load(const std::filesystem::path& path) {
  return {read_vocabulary_lines(path), path.string()};
}

void WordVocabulary::save(const std::filesystem::path& path) const {
  write_vocabulary_lines(path, words_);
}

WordVocabulary WordVocabulary::of(const WordCounts& counts, std::int64_t min_count, std::int64_t max_size) {
  std::vector<std::string> words{std::string(kStart), std::string(kEnd), std::string(kUnknown), std::string(kPadding)};
  std::vector<std::pair<std::int64_t, std::string>> frequent;
  for (const auto& [word, count] : counts.counts())
    if (count >= min_count && has_letter_or_digit(word)) frequent.emplace_back(-count, word);
  std::ranges::sort(frequent);
  const std::int64_t room = max_size - static_cast<std::int64_t>(words.size());
  if (room < 1 || frequent.empty())
    fail(ErrorCode::usage, "a vocabulary of at most {} words that occur {} times has no word of the captions", max_size,
         min_count);
  frequent.resize(std::min(frequent.size(), static_cast<std::size_t>(room)));
  for (auto& [count, word] : frequent) words.push_back(std::move(word));
  return {std::move(words), "the captions"};
}

const std::string& WordVocabulary::word(std::int64_t id) const {
  if (id < 0 || id >= size())
    fail(ErrorCode::invalid_input, "word id {} is outside the vocabulary of {} words", id, size());
  return words_[static_cast<std::size_t>(id)];
}

std::int64_t WordVocabulary::id(std::string_view word) const {
  const auto found = ids_.find(word);
  return found == ids_.end() ? unk_ : found->second;
}

bool WordVocabulary::is_special(std::int64_t id) const {
  return id == start_ || id == end_ || id == unk_ || id == pad_;
}

EncodedText WordVocabulary::encode(std::string_view caption, std::int64_t length) const {
  const std::vector<std::string> words = caption_words(caption);
  EncodedText encoded;
  encoded.truncated = words.size() > static_cast<std::size_t>(length);
  for (std::size_t l = 0; l < static_cast<std::size_t>(length); ++l) {
    encoded.ids.push_back(l < words.size() ? id(words[l]) : pad_);
    encoded.attention_mask.push_back(l < words.size() ? 1 : 0);
  }
  return encoded;
}

std::string WordVocabulary::text(std::span<const std::int64_t> ids) const {
  std::string text;
  for (const std::int64_t id : ids) {
    if (id == pad_ || id == end_) break;
    if (id == start_ || id == unk_) continue;
    if (!text.empty()) text += ' ';
    text += word(id);
  }
  return text;
}

std::string released_sentence(std::string_view words, const ReleasedSentence& options) {
  std::string sentence;
  for (const std::string& word : split_at_spaces(words)) {
    if (word == kEnd || (options.cut_at_pad && word == kPadding)) break;
    if (word == kStart) continue;
    sentence += word + ' ';
  }
  std::string text(without_outer_spaces(sentence));
  const auto byte = [](char c) { return static_cast<unsigned char>(c); };
  std::ranges::transform(text, text.begin(), [&](char c) { return static_cast<char>(std::tolower(byte(c))); });
  if (!text.empty()) text.front() = static_cast<char>(std::toupper(byte(text.front())));
  if (!options.keep_punctuation)
    std::erase_if(text, [&](char c) { return byte(c) < 128 && std::ispunct(byte(c)) != 0; });
  return text;
}

}  // namespace capdiff
