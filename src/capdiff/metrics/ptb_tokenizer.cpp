#include "capdiff/metrics/ptb_tokenizer.h"

#include <algorithm>
#include <iterator>

#include "capdiff/metrics/ptb_scanner.h"
#include "capdiff/text/unicode.h"

namespace capdiff {
namespace {

constexpr std::string_view kPunctuation[] = {"''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".",
                                             "?",  "!", ",",  ":", "-",     "--",    "...",   ";"};

std::string printed(const PtbToken& token) {
  return encode_utf8(lower_case(token.text));
}

}  // namespace

Tokens ptb_tokens(std::string_view text) {
  const std::u32string characters = decode_utf8(text);
  PtbScanner scanner(characters);
  Tokens tokens;
  while (const auto token = scanner.next()) tokens.push_back(printed(*token));
  return tokens;
}

bool is_ptb_punctuation(std::string_view token) {
  return std::find(std::begin(kPunctuation), std::end(kPunctuation), token) != std::end(kPunctuation);
}

Tokens without_ptb_punctuation(Tokens tokens) {
  std::erase_if(tokens, [](const std::string& token) { return is_ptb_punctuation(token); });
  return tokens;
}

std::vector<Tokens> PtbTokenizer::tokenize(std::span<const std::string> captions) const {
  std::u32string stream;
  std::vector<std::size_t> ends;
  ends.reserve(captions.size());
  for (const auto& caption : captions) {
    std::u32string line = decode_utf8(caption);
    std::replace(line.begin(), line.end(), U'\n', U' ');
    if (!ends.empty()) stream.push_back(U'\n');
    stream += line;
    ends.push_back(stream.size());
  }

  std::vector<Tokens> tokens(captions.size());
  PtbScanner scanner(stream);
  std::size_t caption = 0;
  while (const auto token = scanner.next()) {
    while (token->begin >= ends[caption]) ++caption;
    std::string word = printed(*token);
    if (!is_ptb_punctuation(word)) tokens[caption].push_back(std::move(word));
  }
  return tokens;
}

}  // namespace capdiff
