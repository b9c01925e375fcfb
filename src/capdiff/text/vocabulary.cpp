#include "capdiff/text/vocabulary.h"

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"

namespace capdiff {
namespace {

constexpr std::size_t kMaxVocabularyBytes = std::size_t{16} << 20;

}  // namespace

Vocabulary::Vocabulary(std::vector<std::string> tokens, std::string_view origin) : tokens_(std::move(tokens)) {
  if (tokens_.empty()) fail(ErrorCode::invalid_model, "{}: a vocabulary needs tokens, this one is empty", origin);
  ids_.reserve(tokens_.size());
  for (std::size_t id = 0; id < tokens_.size(); ++id) {
    if (tokens_[id].empty()) fail(ErrorCode::invalid_model, "{}: line {} is empty", origin, id + 1);
    const auto [earlier, added] = ids_.emplace(tokens_[id], static_cast<std::int64_t>(id));
    if (!added) {
      fail(ErrorCode::invalid_model, "{}: lines {} and {} are the same token, \"{}\"", origin, earlier->second + 1,
           id + 1, tokens_[id]);
    }
  }
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
  std::vector<std::string> tokens;
  while (!text.empty()) {
    const auto end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    tokens.emplace_back(line);
  }
  return Vocabulary(std::move(tokens), origin);
}

Vocabulary Vocabulary::load(const std::filesystem::path& path) {
  return parse(read_text(path, kMaxVocabularyBytes), path.string());
}

void Vocabulary::save(const std::filesystem::path& path) const {
  std::string text;
  for (const auto& token : tokens_) text.append(token).push_back('\n');
  write_file_atomically(path, text);
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
