#pragma once

#include <optional>

#include "capdiff/captioners/captioner.h"
#include "capdiff/captioners/ladic_model.h"
#include "capdiff/text/wordpiece.h"

namespace capdiff {

/// The captioner: pixels → tokens → condition → sampler with guidance → logits → words.
class LadicCaptioner final : public Captioner {
 public:
  LadicCaptioner(const ModelFolder& folder, Backend& backend);

  Caption fill(const Image& image, const CaptionTemplate& sentence, const GenerationOptions& options) override;
  const GenerationOptions& defaults() const override { return defaults_; }

 protected:
  std::vector<Caption> draw(std::span<const Image> images, const GenerationOptions& options) override;

 private:
  /// Which noise a row of a batch is drawn from.
  struct Row {
    std::uint64_t content = 0;  ///< of its picture
    std::uint32_t candidate = 0;
  };
  /// What comes out of the sampler: logits [rows, L, V], and a trace a row where it was asked for.
  struct Drawn {
    HostTensor logits;
    std::vector<CaptionTrace> traces;
  };
  /// One choice of lengths for the blanks of a sentence.
  struct Filling {
    std::vector<std::int64_t> lengths;  ///< words of each blank
    std::vector<std::int64_t> ids;      ///< [L], [UNK] in the blanks
    std::vector<std::size_t> blanks;    ///< their positions
  };
  class PictureNoise;

  Condition condition(std::span<const Image> images) const;
  const Condition& null_condition();
  const Vocabulary& vocabulary() const { return tokenizer_.vocabulary(); }

  Drawn draw_rows(const Condition& condition, std::span<const Row> rows, const std::optional<KnownPositions>& known,
                  const GenerationOptions& options);
  /// Adds what a call of the network tells to every row's trace.
  void trace(const SamplerCall& call, const HostTensor& reference, std::vector<CaptionTrace>& traces) const;
  /// Text as the model was trained on it.
  std::string cleaned(const std::string& text) const;
  /// The latent of options.reference [L, D], or an empty tensor.
  HostTensor reference_latent(const GenerationOptions& options);
  /// Special tokens before and behind `words` positions, for `rows` rows.
  KnownPositions fixed_length(std::int64_t words, std::int64_t rows);

  /// All choices of lengths that fit the model; an Error(usage) if none does.
  std::vector<Filling> fillings(const CaptionTemplate& sentence) const;
  /// Everything but the blanks, `candidates` rows for every choice.
  KnownPositions given_words(std::span<const Filling> fillings, std::int64_t candidates);
  /// The sentence with the best words in its blanks, from left to right; the score is the mean log-probability of
  /// those.
  Candidate filled(const CaptionTemplate& sentence, const Filling& filling, std::span<const float> logits,
                   std::uint64_t seed) const;

  Candidate free_caption(std::span<const float> logits, const GenerationOptions& options) const;
  Candidate caption_of_length(std::span<const float> logits, const GenerationOptions& options) const;

  Backend* backend_;
  ParameterStore parameters_;
  WordPieceTokenizer tokenizer_;
  std::vector<bool> whole_words_;
  Preprocessor preprocessor_;
  LadicModel model_;
  GenerationOptions defaults_;
  std::optional<Condition> null_;
};

}  // namespace capdiff
