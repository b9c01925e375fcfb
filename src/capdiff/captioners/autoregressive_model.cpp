#include "capdiff/captioners/autoregressive_model.h"

#include "capdiff/base/error.h"

namespace capdiff {

AutoregressiveModel::AutoregressiveModel(Backend& backend, const ParameterStore& parameters,
                                         const AutoregressiveConfig& config)
    : config_(config),
      image_encoder_(make_image_encoder(backend, Scope(parameters) / "visual_encoder", config.image_encoder)),
      decoder_(backend, Scope(parameters) / "text_decoder", config.text) {}

std::vector<std::int64_t> prompt_tokens(const AutoregressiveConfig& config, const WordPieceTokenizer& tokenizer) {
  const std::optional<std::int64_t> begin = tokenizer.vocabulary().find(config.begin);
  if (!begin)
    fail(ErrorCode::invalid_model, "the vocabulary has no token \"{}\", which captions begin with", config.begin);
  std::vector<std::int64_t> tokens{*begin};
  const std::vector<std::int64_t> prompt = tokenizer.tokenize_to_ids(config.prompt);
  tokens.insert(tokens.end(), prompt.begin(), prompt.end());
  if (static_cast<std::int64_t>(tokens.size()) + 1 >= config.text.bert.max_position)
    fail(ErrorCode::invalid_model, "the prompt \"{}\" leaves no room for captions among {} positions", config.prompt,
         config.text.bert.max_position);
  return tokens;
}

}  // namespace capdiff
