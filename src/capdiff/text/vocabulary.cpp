#include "capdiff/text/vocabulary.h"

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"

namespace capdiff {
namespace {

constexpr std::size_t kMaxVocabularyBytes = std::size_t{16} << 20;

}  // namespace

std::vector<std::string> vocabulary_lines(std::string_view text) {
  std::vector<std::string> tokens;
  while (!text.empty()) {
    const auto end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    tokens.emplace_back(line);
  }
  return tokens;
}

std::vector<std::string> read_vocabulary_lines(const std::filesystem::path& path) {
  return vocabulary_lines(read_text(path, kMaxVocabularyBytes));
}

void write_vocabulary_lines(const std::filesystem::path& path, const std::vector<std::string>& tokens) {
  std::string text;
  for (const auto& token : tokens) text.append(token).push_back('\n');
  write_file_atomically(path, text);
}

TokenIds ids_by_token(const std::vector<std::string>& tokens, std::string_view origin) {
  if (tokens.empty()) fail(ErrorCode::invalid_model, "{}: a vocabulary needs tokens, this one is empty", origin);
  TokenIds ids;
  ids.reserve(tokens.size());
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    if (tokens[id].empty()) fail(ErrorCode::invalid_model, "{}: line {} is empty", origin, id + 1);
    const auto [earlier, added] = ids.emplace(tokens[id], static_cast<std::int64_t>(id));
    if (!added) {
      fail(ErrorCode::invalid_model, "{}: lines {} and {} are the same token, \"{}\"", origin, earlier->second + 1,
           id + 1, tokens[id]);
    }
  }
  return ids;
}

Vocabulary::Vocabulary(std::vector<std::string> tokens, std::string_view origin)
    : tokens_(std::move(tokens)), ids_(ids_by_token(tokens_, origin)) {
  const auto require = [&](std::string_view token) {
    const auto id = find(token);
    if (!id) fail(ErrorCode::invalid_model, "{}: the token {} is missing", origin, token);
    return *id;
  };
  pad_ = require("[PAD]");
  unk_ = require("[UNK]");
  cls_ = require("[CLS]");
  sep_ = require("[SEP]");
  mask_ = require("[MASK]");
  dot_ = require(".");
}

Vocabulary Vocabulary::parse(std::string_view text, std::string_view origin) {
  return Vocabulary(vocabulary_lines(text), origin);
}

Vocabulary Vocabulary::load(const std::filesystem::path& path) {
  return Vocabulary(read_vocabulary_lines(path), path.string());
}

void Vocabulary::save(const std::filesystem::path& path) const {
  write_vocabulary_lines(path, tokens_);
}

const std::string& Vocabulary::token(std::int64_t id) const {
  if (id < 0 || id >= size()) {
    fail(ErrorCode::invalid_input, "token id {} is outside the vocabulary of {} tokens", id, size());
  }
  return tokens_[static_cast<std::size_t>(id)];
}

std::optional<std::int64_t> Vocabulary::find(std::string_view token) const {
  const auto found = ids_.find(token);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

}  // namespace capdiff
