#include "capdiff/text/wordpiece.h"

#include <algorithm>
#include <array>

#include "capdiff/base/error.h"
#include "capdiff/text/basic_tokenizer.h"

namespace capdiff {
namespace {

constexpr std::array<std::string_view, 5> kSpecialTokens{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};

bool is_continuation_byte(char byte) {
  return (byte & 0xC0) == 0x80;
}

}  // namespace

WordPieceTokenizer::WordPieceTokenizer(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {
  for (std::int64_t id = 0; id < vocabulary_.size(); ++id) {
    const std::string_view token = vocabulary_.token(id);
    longest_piece_ = std::max(longest_piece_, token.size());
    if (token.starts_with("##")) continuations_.emplace(token.substr(2), id);
  }
}

void WordPieceTokenizer::append_word(std::vector<std::int64_t>& ids, std::string_view word) const {
  const std::size_t first = ids.size();
  bool cut = count_code_points(word) <= kMaxWordCodePoints;
  for (std::size_t begin = 0; cut && begin < word.size();) {
    std::size_t end = std::min(word.size(), begin + longest_piece_);
    cut = false;
    for (; end > begin; --end) {
      if (end < word.size() && is_continuation_byte(word[end])) continue;
      const std::string_view piece = word.substr(begin, end - begin);
      if (begin == 0) {
        const auto id = vocabulary_.find(piece);
        cut = id.has_value();
        if (cut) ids.push_back(*id);
      } else {
        const auto found = continuations_.find(piece);
        cut = found != continuations_.end();
        if (cut) ids.push_back(found->second);
      }
      if (cut) break;
    }
    begin = end;
  }
  if (!cut) {
    ids.resize(first);
    ids.push_back(vocabulary_.unk());
  }
}

void WordPieceTokenizer::append_plain_text(std::vector<std::int64_t>& ids, std::string_view text) const {
  for (const auto& word : split_words(text)) append_word(ids, word);
}

std::vector<std::int64_t> WordPieceTokenizer::tokenize_to_ids(std::string_view text) const {
  std::vector<std::int64_t> ids;
  std::size_t plain = 0;
  for (auto at = text.find('['); at != std::string_view::npos; at = text.find('[', at)) {
    const auto special = std::find_if(kSpecialTokens.begin(), kSpecialTokens.end(),
                                      [&](std::string_view token) { return text.substr(at).starts_with(token); });
    if (special == kSpecialTokens.end()) {
      ++at;
      continue;
    }
    append_plain_text(ids, text.substr(plain, at - plain));
    ids.push_back(*vocabulary_.find(*special));
    at += special->size();
    plain = at;
  }
  append_plain_text(ids, text.substr(plain));
  return ids;
}

std::vector<std::string> WordPieceTokenizer::tokens_of(const std::vector<std::int64_t>& ids) const {
  std::vector<std::string> tokens;
  for (const auto id : ids) tokens.push_back(vocabulary_.token(id));
  return tokens;
}

std::vector<std::string> WordPieceTokenizer::tokenize(std::string_view text) const {
  return tokens_of(tokenize_to_ids(text));
}

std::vector<std::string> WordPieceTokenizer::tokenize_literally(std::string_view text) const {
  std::vector<std::int64_t> ids;
  append_plain_text(ids, text);
  return tokens_of(ids);
}

EncodedText WordPieceTokenizer::encode(std::string_view text, std::int64_t length) const {
  if (length < 2) fail(ErrorCode::usage, "a text is encoded to at least 2 tokens ([CLS] and [SEP]), not {}", length);
  const auto size = static_cast<std::size_t>(length);
  const auto pieces = tokenize_to_ids(text);
  EncodedText encoded;
  encoded.ids.assign(size, vocabulary_.pad());
  encoded.attention_mask.assign(size, 0);
  const std::size_t kept = std::min(pieces.size(), size - 2);
  encoded.truncated = kept < pieces.size();
  encoded.ids.front() = vocabulary_.cls();
  std::copy_n(pieces.begin(), kept, encoded.ids.begin() + 1);
  encoded.ids[kept + 1] = vocabulary_.sep();
  std::fill_n(encoded.attention_mask.begin(), kept + 2, std::uint8_t{1});
  return encoded;
}

}  // namespace capdiff
