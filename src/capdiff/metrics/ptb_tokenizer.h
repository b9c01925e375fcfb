#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "capdiff/metrics/caption_tokens.h"

namespace capdiff {

/// The tokens of one text, in lower case, as Stanford's Penn Treebank tokeniser (version 3.4.1) makes them with the
/// options of the coco-caption tools. White space inside a token is a no-break space.
Tokens ptb_tokens(std::string_view text);

/// The same of captions that are read as one text, a line each. A line feed inside a caption is a space; a token counts
/// for the caption in which it begins.
std::vector<Tokens> ptb_tokens(std::span<const std::string> captions);

/// The tokens of one text by the lines in which Stanford's program prints them: besides line feeds, a carriage return
/// (with its line feed), U+000B, U+000C, U+2028 and U+2029 end a line.
std::vector<Tokens> ptb_lines(std::string_view text);

/// Whether `token` is on the coco-caption tools' list of 17 strings that do not count. The names of brackets are on it
/// in capitals only, and so stay in text that is in lower case.
bool is_ptb_punctuation(std::string_view token);

/// The tokens without those on the list.
Tokens without_ptb_punctuation(Tokens tokens);

/// "ptb": the words that the coco-caption tools count: `ptb_tokens` of all captions together, without those on the
/// list. The first word of the next caption can decide whether a final dot belongs to the last word of this one.
class PtbTokenizer final : public CaptionTokenizer {
 public:
  std::string signature() const override { return "ptb"; }
  std::vector<Tokens> tokenize(std::span<const std::string> captions) const override;
};

}  // namespace capdiff
