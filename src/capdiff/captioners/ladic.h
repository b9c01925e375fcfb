#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "capdiff/captioners/diffusion_captioner.h"
#include "capdiff/captioners/ladic_model.h"
#include "capdiff/captioners/recorded_step.h"
#include "capdiff/text/wordpiece.h"

namespace capdiff {

/// LaDiC as a captioner: latents are hidden states of BERT, the network attends to image tokens.
class LadicCaptioner final : public DiffusionCaptioner {
 public:
  LadicCaptioner(const ModelFolder& folder, Backend& backend);

 private:
  class Network;

  LadicCaptioner(const ModelFolder& folder, Backend& backend, Vocabulary vocabulary, const LadicConfig& config);

  NoiseLevels noise_levels(const GenerationOptions& options) const override;
  std::unique_ptr<PictureNetwork> network(std::span<const Image> images, const NoiseLevels& levels,
                                          const GenerationOptions& options) override;
  Value logits(const Value& x0) const override { return model_.text().logits(x0); }
  Value latents(const HostTensor& tokens) override;
  Value latent_of_padding() override;
  std::vector<std::int64_t> tokens_of(const std::string& text) const override;
  const std::string& token(std::int64_t id) const override { return vocabulary().token(id); }
  std::string raw_text(std::span<const std::int64_t> tokens) const override;
  std::string caption_text(std::span<const std::int64_t> tokens) const override;

  /// x̂0 of x_t, self-condition, time and the values of one condition or several, which serve as many rows each.
  Value estimate(std::span<const Value> inputs, double guidance) const;

  const Vocabulary& vocabulary() const { return tokenizer_.vocabulary(); }

  ParameterStore parameters_;
  WordPieceTokenizer tokenizer_;
  LadicModel model_;
  Preprocessor preprocessor_;
  std::optional<Condition> null_;
  RecordedStep step_;  ///< `estimate`
};

}  // namespace capdiff
