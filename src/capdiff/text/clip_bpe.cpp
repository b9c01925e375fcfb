#include "capdiff/text/clip_bpe.h"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <optional>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/formats/gzip_text.h"
#include "capdiff/text/html.h"
#include "capdiff/text/unicode.h"
#include "capdiff/text/vocabulary.h"

namespace capdiff {
namespace {

constexpr std::size_t kMaxMergesBytes = std::size_t{16} << 20;
constexpr std::size_t kMaxMerges = 48'894;
constexpr std::uint32_t kBytes = 256;
constexpr std::string_view kEndOfWord = "</w>";
constexpr std::string_view kVersion = "#version";
constexpr std::string_view kStartOfText = "<|startoftext|>";
constexpr std::string_view kEndOfText = "<|endoftext|>";
constexpr std::array<std::string_view, 7> kContractions{"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};

/// CLIP's alphabet: bytes that print in Latin-1 stand for themselves and come first, the others are the characters from
/// U+0100 on.
struct ByteAlphabet {
  std::array<std::uint32_t, kBytes> id_of_byte;
  std::array<char32_t, kBytes> character_of_id;
  std::array<std::uint8_t, kBytes> byte_of_id;

  ByteAlphabet() {
    std::uint32_t next = 0;
    const auto add = [&](std::uint32_t byte, char32_t character) {
      id_of_byte[byte] = next;
      character_of_id[next] = character;
      byte_of_id[next++] = static_cast<std::uint8_t>(byte);
    };
    const auto prints = [](std::uint32_t byte) {
      return (byte > 0x20 && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD);
    };
    for (std::uint32_t byte = 0; byte < kBytes; ++byte)
      if (prints(byte)) add(byte, byte);
    char32_t character = kBytes;
    for (std::uint32_t byte = 0; byte < kBytes; ++byte)
      if (!prints(byte)) add(byte, character++);
  }
};

const ByteAlphabet& alphabet() {
  static const ByteAlphabet kAlphabet;
  return kAlphabet;
}

std::uint64_t pair_key(std::uint32_t left, std::uint32_t right) {
  return (std::uint64_t{left} << 32) | right;
}

/// Unicode's White_Space: other than Python's `isspace`, it leaves the four separators of ASCII out.
bool separates(char32_t c) {
  return is_white_space(c) && (c < 0x1C || c > 0x1F);
}

/// Steps 1 and 2 of the class's description.
std::u32string cleaned(std::string_view text) {
  const std::u32string raw = decode_utf8(unescape_html(unescape_html(text)));
  std::size_t begin = 0, end = raw.size();
  while (begin < end && is_white_space(raw[begin])) ++begin;
  while (end > begin && is_white_space(raw[end - 1])) --end;
  std::u32string collapsed;
  collapsed.reserve(end - begin);
  for (std::size_t i = begin; i < end; ++i) {
    if (!separates(raw[i]))
      collapsed.push_back(raw[i]);
    else if (!collapsed.empty() && collapsed.back() != ' ')
      collapsed.push_back(' ');
  }
  return lower_case(collapsed);
}

/// Whether the text begins so, in any case: of the letters in question, only the long s has a third form.
bool begins_with(std::u32string_view text, std::string_view literal) {
  constexpr char32_t kLongS = 0x017F;
  return text.size() >= literal.size() &&
         std::equal(literal.begin(), literal.end(), text.begin(), [](char wanted, char32_t c) {
           return c == static_cast<char32_t>(wanted) || (wanted == 's' && c == kLongS);
         });
}

/// How long the piece at the beginning of a cleaned text is, which does not begin with white space.
std::size_t piece_length(std::u32string_view text) {
  for (const std::string_view special : {kStartOfText, kEndOfText})
    if (begins_with(text, special)) return special.size();
  if (text.front() == '\'')
    for (const std::string_view contraction : kContractions)
      if (begins_with(text, contraction)) return contraction.size();
  if (is_number(text.front())) return 1;
  const bool letters = is_letter(text.front());
  std::size_t end = 1;
  const auto goes_on = [&](char32_t c) {
    return letters ? is_letter(c) : !separates(c) && !is_letter(c) && !is_number(c);
  };
  while (end < text.size() && goes_on(text[end])) ++end;
  return end;
}

}  // namespace

/// Merges the pairs of one piece after the other. Symbols are a linked list, and pairs that are known wait in a heap,
/// the earliest learned first and from left to right.
class ClipBpe::PairMerger {
 public:
  explicit PairMerger(const ClipBpe& bpe) : bpe_(bpe) {}

  void append(std::vector<std::int64_t>& ids, std::string_view piece) {
    if (piece.size() >= kNone) fail(ErrorCode::invalid_input, "a word of {} bytes is too long", piece.size());
    const auto size = static_cast<std::uint32_t>(piece.size());
    symbols_.resize(size);
    for (std::uint32_t i = 0; i < size; ++i)
      symbols_[i] = {alphabet().id_of_byte[static_cast<std::uint8_t>(piece[i])], i == 0 ? kNone : i - 1,
                     i + 1 == size ? kNone : i + 1};
    symbols_.back().id += kBytes;
    waiting_.clear();
    for (std::uint32_t i = 0; i < size; ++i)
      if (const auto merged = merged_at(i)) waiting_.push_back(pair_key(*merged, i));
    std::make_heap(waiting_.begin(), waiting_.end(), std::greater<>());
    while (!waiting_.empty()) merge_next();
    for (std::uint32_t i = 0; i != kNone; i = symbols_[i].next) ids.push_back(symbols_[i].id);
  }

 private:
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

  struct Symbol {
    std::uint32_t id = kNone;  ///< kNone where the symbol has become a part of one before it
    std::uint32_t previous = kNone, next = kNone;
  };

  /// What the symbol at `i` and the next one can be merged into.
  std::optional<std::uint32_t> merged_at(std::uint32_t i) const {
    const Symbol& left = symbols_[i];
    if (left.id == kNone || left.next == kNone) return std::nullopt;
    const auto found = bpe_.pairs_.find(pair_key(left.id, symbols_[left.next].id));
    if (found == bpe_.pairs_.end()) return std::nullopt;
    return found->second;
  }

  /// A pair that comes into being is learned later than the one that is merged, so the heap's order is that of passes
  /// over the whole piece, one for every pair.
  void merge_next() {
    const auto merged = static_cast<std::uint32_t>(waiting_.front() >> 32);
    const auto i = static_cast<std::uint32_t>(waiting_.front());
    std::pop_heap(waiting_.begin(), waiting_.end(), std::greater<>());
    waiting_.pop_back();
    if (merged_at(i) != merged) return;  // one of the two has been merged otherwise since
    Symbol& left = symbols_[i];
    Symbol& right = symbols_[left.next];
    left.id = merged;
    left.next = right.next;
    right.id = kNone;
    if (left.next != kNone) symbols_[left.next].previous = i;
    if (left.previous != kNone) wait_for(left.previous);
    wait_for(i);
  }

  void wait_for(std::uint32_t i) {
    const auto merged = merged_at(i);
    if (!merged) return;
    waiting_.push_back(pair_key(*merged, i));
    std::push_heap(waiting_.begin(), waiting_.end(), std::greater<>());
  }

  const ClipBpe& bpe_;
  std::vector<Symbol> symbols_;
  std::vector<std::uint64_t> waiting_;  // what a pair becomes, and where it begins
};

ClipBpe ClipBpe::parse(std::string_view merges, std::string_view origin) {
  std::vector<std::string> lines;
  std::size_t number = 0;
  while (!merges.empty() && lines.size() < kMaxMerges) {
    const std::size_t end = std::min(merges.find('\n'), merges.size());
    std::string_view line = merges.substr(0, end);
    merges.remove_prefix(std::min(end + 1, merges.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (++number == 1 && line.find(kVersion) != std::string_view::npos) continue;
    lines.emplace_back(line);
  }

  ClipBpe bpe(std::move(lines));
  const std::size_t before = number - bpe.merges_.size();
  TokenIds ids;
  const auto add = [&](std::string token) {
    const auto id = static_cast<std::int64_t>(bpe.tokens_.size());
    bpe.tokens_.push_back(token);
    return ids.emplace(std::move(token), id).second;
  };
  for (const std::string_view end : {std::string_view(), kEndOfWord})
    for (const char32_t character : alphabet().character_of_id) {
      std::string token;
      append_utf8(token, character);
      add(token += end);
    }
  for (std::size_t i = 0; i < bpe.merges_.size(); ++i) {
    const std::string_view line = bpe.merges_[i];
    const std::size_t space = std::min(line.find(' '), line.size());
    const auto left = ids.find(line.substr(0, space));
    const auto right = ids.find(line.substr(std::min(space + 1, line.size())));
    if (left == ids.end() || right == ids.end())
      fail(ErrorCode::invalid_model,
           "{}: line {} does not hold two tokens that are known by then, with a space between", origin, before + i + 1);
    const std::uint64_t key =
        pair_key(static_cast<std::uint32_t>(left->second), static_cast<std::uint32_t>(right->second));
    const bool inside = !left->first.ends_with(kEndOfWord);
    if (!inside || !add(left->first + right->first))
      fail(ErrorCode::invalid_model, "{}: line {} makes the token \"{}{}\", which {}", origin, before + i + 1,
           left->first, right->first, inside ? "is there already" : "goes on behind the end of a word");
    bpe.pairs_.emplace(key, static_cast<std::uint32_t>(bpe.tokens_.size() - 1));
  }
  for (const std::string_view special : {kStartOfText, kEndOfText})
    if (!add(std::string(special)))
      fail(ErrorCode::invalid_model, "{}: a line makes {}, which is a special token", origin, special);
  return bpe;
}

ClipBpe ClipBpe::load(const std::filesystem::path& path) {
  return parse(read_gzip_text(path, kMaxMergesBytes), path.string());
}

void ClipBpe::save(const std::filesystem::path& path) const {
  std::string text = "#version: 0.2\n";
  for (const std::string& merge : merges_) text.append(merge).push_back('\n');
  write_file_atomically(path, text);
}

const std::string& ClipBpe::token(std::int64_t id) const {
  if (id < 0 || id >= size())
    fail(ErrorCode::invalid_input, "token id {} is outside the vocabulary of {} tokens", id, size());
  return tokens_[static_cast<std::size_t>(id)];
}

std::vector<std::int64_t> ClipBpe::tokenize_to_ids(std::string_view text) const {
  const std::u32string code_points = cleaned(text);
  std::vector<std::int64_t> ids;
  PairMerger merger(*this);
  for (std::u32string_view rest = code_points; !rest.empty();) {
    if (separates(rest.front())) {
      rest.remove_prefix(1);
      continue;
    }
    const std::size_t length = piece_length(rest);
    const std::string piece = encode_utf8(rest.substr(0, length));
    rest.remove_prefix(length);
    if (piece == kStartOfText)
      ids.push_back(start_of_text());
    else if (piece == kEndOfText)
      ids.push_back(end_of_text());
    else
      merger.append(ids, piece);
  }
  return ids;
}

std::vector<std::string> ClipBpe::tokenize(std::string_view text) const {
  std::vector<std::string> tokens;
  for (const std::int64_t id : tokenize_to_ids(text)) tokens.push_back(token(id));
  return tokens;
}

EncodedText ClipBpe::encode(std::string_view text, std::int64_t length) const {
  if (length < 2)
    fail(ErrorCode::usage, "a text is encoded to at least 2 tokens ({} and {}), not {}", kStartOfText, kEndOfText,
         length);
  const auto size = static_cast<std::size_t>(length);
  const std::vector<std::int64_t> pieces = tokenize_to_ids(text);
  const std::size_t kept = std::min(pieces.size(), size - 2);
  EncodedText encoded{std::vector<std::int64_t>(size, 0), std::vector<std::uint8_t>(size, 0), kept < pieces.size()};
  encoded.ids.front() = start_of_text();
  std::copy_n(pieces.begin(), kept, encoded.ids.begin() + 1);
  encoded.ids[kept + 1] = end_of_text();
  std::fill_n(encoded.attention_mask.begin(), kept + 2, std::uint8_t{1});
  return encoded;
}

std::string ClipBpe::decode(std::span<const std::int64_t> ids) const {
  static const std::unordered_map<char32_t, char> kBytesByCharacter = [] {
    std::unordered_map<char32_t, char> bytes;
    for (std::uint32_t id = 0; id < kBytes; ++id)
      bytes.emplace(alphabet().character_of_id[id], static_cast<char>(alphabet().byte_of_id[id]));
    return bytes;
  }();
  std::string bytes;
  for (const std::int64_t id : ids)
    for (const char32_t c : decode_utf8(token(id))) bytes += kBytesByCharacter.at(c);
  std::string text = well_formed_utf8(bytes);
  std::string result;
  for (std::size_t at = 0;;) {
    const std::size_t end = text.find(kEndOfWord, at);
    result += text.substr(at, end - at);
    if (end == std::string::npos) return result;
    result += ' ';
    at = end + kEndOfWord.size();
  }
}

}  // namespace capdiff
