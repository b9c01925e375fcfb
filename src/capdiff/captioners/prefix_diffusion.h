#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "capdiff/captioners/diffusion_captioner.h"
#include "capdiff/captioners/prefix_model.h"
#include "capdiff/captioners/recorded_step.h"
#include "capdiff/models/word_clamp.h"
#include "capdiff/text/word_vocabulary.h"

namespace capdiff {

/// Prefix-diffusion as a captioner: latents are embeddings of words, tokens of CLIP's image feature stand beside them.
class PrefixDiffusionCaptioner final : public DiffusionCaptioner {
 public:
  PrefixDiffusionCaptioner(const ModelFolder& folder, Backend& backend);

 private:
  class Network;

  PrefixDiffusionCaptioner(const ModelFolder& folder, Backend& backend, WordVocabulary vocabulary,
                           const PrefixConfig& config);

  NoiseLevels noise_levels(const GenerationOptions& options) const override;
  std::unique_ptr<PictureNetwork> network(std::span<const Image> images, const NoiseLevels& levels,
                                          const GenerationOptions& options) override;
  Value logits(const Value& x0) const override { return model_.words().logits(x0); }
  Value latents(const HostTensor& tokens) override { return model_.words().embed(backend().upload(tokens)); }
  Value latent_of_padding() override;
  std::vector<std::int64_t> tokens_of(const std::string& text) const override;
  const std::string& token(std::int64_t id) const override { return vocabulary_.word(id); }
  std::string raw_text(std::span<const std::int64_t> tokens) const override;
  std::string caption_text(std::span<const std::int64_t> tokens) const override;

  ParameterStore parameters_;
  WordVocabulary vocabulary_;
  PrefixModel model_;
  WordClamp clamp_;
  Preprocessor preprocessor_;
  std::optional<Prefix> null_;
  RecordedStep step_;  ///< of x_t, time and the tokens of a prefix
};

/// The networks of such a folder, for more than captions.
ParameterStore prefix_parameters(const ModelFolder& folder);

}  // namespace capdiff
