#pragma once

#include <span>
#include <string>
#include <vector>

#include "capdiff/captioners/autoregressive_model.h"
#include "capdiff/captioners/captioner.h"
#include "capdiff/captioners/token_search.h"

namespace capdiff {

/// A captioner that writes from left to right, as BLIP does: one caption by beam search, several from the nucleus.
class AutoregressiveCaptioner final : public Captioner {
 public:
  AutoregressiveCaptioner(const ModelFolder& folder, Backend& backend);

  /// An `Error(unsupported)`: a blank needs the words on both sides.
  Caption fill(const Image& image, const CaptionTemplate& sentence, const GenerationOptions& options) override;
  const GenerationOptions& defaults() const override { return defaults_; }
  std::int64_t max_words() const override;

 protected:
  std::vector<Caption> draw(std::span<const Image> images, const GenerationOptions& options) override;

 private:
  AutoregressiveCaptioner(const ModelFolder& folder, Backend& backend, Vocabulary vocabulary,
                          const AutoregressiveConfig& config);

  TokenRules rules(const LeftToRight& how, const GenerationOptions& options) const;
  /// The words behind the prompt; joined as they are where their number was asked for.
  std::string caption_text(const WrittenText& text, bool fixed_length) const;

  Backend* backend_;
  ParameterStore parameters_;
  WordPieceTokenizer tokenizer_;
  AutoregressiveModel model_;
  Preprocessor preprocessor_;
  GenerationOptions defaults_;
  std::vector<std::int64_t> prompt_;   ///< with the token that begins captions
  std::vector<std::int64_t> special_;  ///< tokens that captions do not show
  std::vector<bool> whole_words_;
};

}  // namespace capdiff
