#include "capdiff/metrics/caption_tokens.h"

#include "capdiff/base/error.h"
#include "capdiff/metrics/ptb_tokenizer.h"
#include "capdiff/text/unicode.h"

namespace capdiff {
namespace {

std::vector<Tokens> tokenize_checked(std::span<const std::string> captions, const CaptionTokenizer& tokenizer) {
  auto tokens = tokenizer.tokenize(captions);
  if (tokens.size() != captions.size()) {
    fail(ErrorCode::internal, "the tokeniser \"{}\" made {} captions of {}", tokenizer.signature(), tokens.size(),
         captions.size());
  }
  return tokens;
}

}  // namespace

std::vector<Tokens> WhiteSpaceTokenizer::tokenize(std::span<const std::string> captions) const {
  std::vector<Tokens> tokens;
  tokens.reserve(captions.size());
  for (const auto& caption : captions) tokens.push_back(split_white_space(caption));
  return tokens;
}

std::vector<Tokens> LowerNoPunctuationTokenizer::tokenize(std::span<const std::string> captions) const {
  std::vector<Tokens> tokens;
  tokens.reserve(captions.size());
  for (const auto& caption : captions) {
    std::u32string text = lower_case(decode_utf8(caption));
    for (char32_t& c : text) {
      if (is_punctuation(c)) c = U' ';
    }
    tokens.push_back(split_white_space(encode_utf8(text)));
  }
  return tokens;
}

std::unique_ptr<CaptionTokenizer> make_caption_tokenizer(std::string_view name) {
  if (name == "ptb") return std::make_unique<PtbTokenizer>();
  if (name == "lower-nopunct") return std::make_unique<LowerNoPunctuationTokenizer>();
  if (name == "none") return std::make_unique<WhiteSpaceTokenizer>();
  fail(ErrorCode::usage, "there is no tokeniser \"{}\"; there are ptb, lower-nopunct and none", name);
}

std::vector<ScoredImage> tokenize_images(std::span<const EvaluatedCaption> images, const CaptionTokenizer& tokenizer) {
  std::vector<std::string> candidates;
  std::vector<std::string> references;
  for (const auto& image : images) {
    candidates.push_back(image.candidate);
    references.insert(references.end(), image.references.begin(), image.references.end());
  }
  auto candidate_tokens = tokenize_checked(candidates, tokenizer);
  auto reference_tokens = tokenize_checked(references, tokenizer);

  std::vector<ScoredImage> scored;
  scored.reserve(images.size());
  auto next_reference = reference_tokens.begin();
  for (std::size_t i = 0; i < images.size(); ++i) {
    ScoredImage image{images[i].id, std::move(candidate_tokens[i]), {}};
    for (std::size_t r = 0; r < images[i].references.size(); ++r) {
      image.references.push_back(std::move(*next_reference++));
    }
    scored.push_back(std::move(image));
  }
  return scored;
}

}  // namespace capdiff
