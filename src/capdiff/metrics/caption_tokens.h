#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "capdiff/metrics/scored_image.h"

namespace capdiff {

/// How captions become words before they are scored. Scores of different tokenisers cannot be compared, so a tokeniser
/// names itself in the signature of every result.
class CaptionTokenizer {
 public:
  virtual ~CaptionTokenizer() = default;

  virtual std::string signature() const = 0;

  /// The words of each caption, none of them empty. Captions are given together because some tokenisers read them as
  /// one stream, in which a caption's first word can decide how the end of the one before it is cut.
  virtual std::vector<Tokens> tokenize(std::span<const std::string> captions) const = 0;
};

/// "none": captions are already tokenised, and only cut at white space.
class WhiteSpaceTokenizer final : public CaptionTokenizer {
 public:
  std::string signature() const override { return "none"; }
  std::vector<Tokens> tokenize(std::span<const std::string> captions) const override;
};

/// "lower-nopunct": the caption in lower case (with Unicode's final sigma), cut at white space and at every punctuation
/// character (`is_punctuation`: ASCII symbols and the Unicode categories P*), which are dropped. "The man's T-shirt."
/// is `the man s t shirt`.
class LowerNoPunctuationTokenizer final : public CaptionTokenizer {
 public:
  std::string signature() const override { return "lower-nopunct"; }
  std::vector<Tokens> tokenize(std::span<const std::string> captions) const override;
};

/// The tokeniser that signs itself `name`: "ptb" (ptb_tokenizer.h), "lower-nopunct" or "none". Throws Error(usage) for
/// any other.
std::unique_ptr<CaptionTokenizer> make_caption_tokenizer(std::string_view name);

/// A candidate caption and its references as people write them.
struct EvaluatedCaption {
  std::string id;
  std::string candidate;
  std::vector<std::string> references;
  std::vector<std::string> candidates = {};  ///< all captions drawn for the image, where they are known
  std::string file = {};                     ///< path or name of the picture, where it is known
};

/// Tokenises all candidates in their order, and all references in theirs.
std::vector<ScoredImage> tokenize_images(std::span<const EvaluatedCaption> images, const CaptionTokenizer& tokenizer);

}  // namespace capdiff
