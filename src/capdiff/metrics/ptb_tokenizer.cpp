#include "capdiff/metrics/ptb_tokenizer.h"

#include <omp.h>

#include <algorithm>
#include <iterator>

#include "capdiff/base/parallel.h"
#include "capdiff/metrics/ptb_scanner.h"
#include "capdiff/text/unicode.h"

namespace capdiff {
namespace {

constexpr std::size_t kUsualWord = 5;  // bytes of a word and its space, about
constexpr std::string_view kPunctuation[] = {"''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".",
                                             "?",  "!", ",",  ":", "-",     "--",    "...",   ";"};

}  // namespace

Tokens ptb_tokens(std::string_view text) {
  const std::u32string characters = decode_utf8(text);
  PtbScanner scanner(characters);
  Tokens tokens;
  while (auto token = scanner.next()) tokens.push_back(std::move(token->text));
  return tokens;
}

std::vector<Tokens> ptb_tokens(std::span<const std::string> captions) {
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
  parallel_ranges(static_cast<std::int64_t>(captions.size()), omp_get_max_threads(),
                  [&](std::int64_t first, std::int64_t last) {
                    auto caption = static_cast<std::size_t>(first);
                    const std::size_t end = ends[static_cast<std::size_t>(last) - 1];
                    PtbScanner scanner(stream, caption == 0 ? 0 : ends[caption - 1] + 1);
                    for (auto token = scanner.next(); token && token->begin < end; token = scanner.next()) {
                      while (token->begin >= ends[caption]) ++caption;
                      if (tokens[caption].empty()) tokens[caption].reserve(captions[caption].size() / kUsualWord + 2);
                      tokens[caption].push_back(std::move(token->text));
                    }
                  });
  return tokens;
}

std::vector<Tokens> ptb_lines(std::string_view text) {
  const std::u32string characters = decode_utf8(text);
  PtbScanner scanner(characters);
  std::vector<Tokens> lines(1);
  std::size_t at = 0;
  const auto read_breaks = [&](std::size_t end) {
    for (; at < end; ++at) {
      const bool pair = characters[at] == U'\r' && at + 1 < characters.size() && characters[at + 1] == U'\n';
      if (!pair && is_one_of(characters[at], U"\n\v\f\r\u2028\u2029")) lines.emplace_back();
    }
  };
  while (auto token = scanner.next()) {
    read_breaks(token->begin);
    lines.back().push_back(std::move(token->text));
  }
  read_breaks(characters.size());
  if (lines.size() > 1 && lines.back().empty()) lines.pop_back();
  return lines;
}

bool is_ptb_punctuation(std::string_view token) {
  return std::find(std::begin(kPunctuation), std::end(kPunctuation), token) != std::end(kPunctuation);
}

Tokens without_ptb_punctuation(Tokens tokens) {
  std::erase_if(tokens, [](const std::string& token) { return is_ptb_punctuation(token); });
  return tokens;
}

std::vector<Tokens> PtbTokenizer::tokenize(std::span<const std::string> captions) const {
  std::vector<Tokens> tokens = ptb_tokens(captions);
  parallel_for(tokens.size(), [&](std::size_t i) { tokens[i] = without_ptb_punctuation(std::move(tokens[i])); });
  return tokens;
}

}  // namespace capdiff
