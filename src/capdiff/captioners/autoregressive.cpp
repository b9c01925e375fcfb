#include "capdiff/captioners/autoregressive.h"

#include <algorithm>
#include <cmath>

#include "capdiff/base/error.h"
#include "capdiff/captioners/caption_writer.h"
#include "capdiff/text/detokenise.h"
#include "capdiff/text/whole_words.h"

namespace capdiff {
namespace {

ParameterStore stored_parameters(const ModelFolder& folder) {
  ParameterStore store;
  store.add(folder.weights());
  return store;
}

/// Tokens that stand for no text.
std::vector<std::int64_t> special_tokens(const Vocabulary& vocabulary) {
  std::vector<std::int64_t> special{vocabulary.pad(), vocabulary.unk(), vocabulary.cls(), vocabulary.sep(),
                                    vocabulary.mask()};
  for (const char* name : {"[DEC]", "[ENC]"})
    if (const auto id = vocabulary.find(name)) special.push_back(*id);
  return special;
}

}  // namespace

AutoregressiveCaptioner::AutoregressiveCaptioner(const ModelFolder& folder, Backend& backend)
    : AutoregressiveCaptioner(folder, backend, Vocabulary::load(folder.file("vocab.txt")),
                              AutoregressiveConfig::from_json(folder.config())) {}

AutoregressiveCaptioner::AutoregressiveCaptioner(const ModelFolder& folder, Backend& backend, Vocabulary vocabulary,
                                                 const AutoregressiveConfig& config)
    : backend_(&backend),
      parameters_(stored_parameters(folder)),
      tokenizer_(std::move(vocabulary)),
      model_(backend, parameters_, config),
      preprocessor_(folder_preprocessor(folder, Preprocessor(), model_.image_encoder().image_size())),
      defaults_(folder_generation(folder, config.generation())),
      prompt_(prompt_tokens(config, tokenizer_)),
      special_(special_tokens(tokenizer_.vocabulary())),
      whole_words_(whole_words(tokenizer_.vocabulary())) {
  if (tokenizer_.vocabulary().size() != config.text.bert.vocab_size)
    fail(ErrorCode::invalid_model, "{}: {} tokens, but config.json has a vocab_size of {}",
         folder.file("vocab.txt").string(), tokenizer_.vocabulary().size(), config.text.bert.vocab_size);
}

Caption AutoregressiveCaptioner::fill(const Image&, const CaptionTemplate&, const GenerationOptions&) {
  fail(
      ErrorCode::unsupported,
      "this model writes from left to right; filling blanks needs one that sees the words on both sides, by diffusion");
}

std::int64_t AutoregressiveCaptioner::max_words() const {
  return model_.config().text.bert.max_position - static_cast<std::int64_t>(prompt_.size());
}

TokenRules AutoregressiveCaptioner::rules(const LeftToRight& how, const GenerationOptions& options) const {
  const auto given = static_cast<std::int64_t>(prompt_.size());
  const std::int64_t room = max_words();
  TokenRules rules{.end = tokenizer_.vocabulary().sep(),
                   .min_length = given + how.min_length,
                   .max_length = given + std::min(how.max_length, room),
                   .repetition_penalty = how.repetition_penalty};
  if (how.min_length > how.max_length)
    fail(ErrorCode::usage, "captions of at least {} and at most {} pieces", how.min_length, how.max_length);
  if (how.min_length > room)
    fail(ErrorCode::usage, "--min-length {}: this model's captions have at most {} pieces", how.min_length, room);
  if (!options.length) return rules;
  if (*options.length < 1 || *options.length > room)
    fail(ErrorCode::usage, "--length {}: this model's captions have between 1 and {} words", *options.length, room);
  rules.min_length = rules.max_length = given + *options.length;
  rules.words = &whole_words_;
  return rules;
}

std::vector<Caption> AutoregressiveCaptioner::draw(std::span<const Image> images, const GenerationOptions& options) {
  if (options.trace)
    fail(ErrorCode::unsupported, "--trace: this model writes from left to right; there is no denoising to show");
  const LeftToRight how = options.left_to_right.value_or(*defaults_.left_to_right);
  const TokenRules allowed = rules(how, options);
  backend_->enter(CaptionStage::preprocess);
  const Value pixels = backend_->upload(preprocessor_.batch(images));
  backend_->enter(CaptionStage::encoder);
  const ImageTokens tokens = model_.image_encoder().encode(pixels);
  backend_->enter(CaptionStage::condition);
  CaptionWriter writer(*backend_, model_.decoder(), model_.decoder().image(tokens.patches));
  std::vector<WrittenText> texts;
  if (samples(how, options.candidates)) {
    std::vector<RandomStream> random;
    for (const Image& image : images)
      for (std::int64_t k = 0; k < options.candidates; ++k)
        random.emplace_back(options.seed, static_cast<std::uint32_t>(k), content_hash(image));
    texts = sample_texts(writer, images.size(), prompt_, allowed, {how.top_p, how.temperature}, random);
  } else {
    texts = beam_search(writer, images.size(), prompt_, allowed, {how.beams, how.length_penalty});
  }
  backend_->enter(CaptionStage::words);
  std::vector<Caption> captions(images.size());
  for (std::size_t i = 0; i < texts.size(); ++i)
    captions[i / static_cast<std::size_t>(options.candidates)].candidates.push_back(
        {caption_text(texts[i], options.length.has_value()), texts[i].score, options.seed});
  return captions;
}

std::string AutoregressiveCaptioner::caption_text(const WrittenText& text, bool fixed_length) const {
  const auto written = std::span(text.tokens).subspan(prompt_.size());
  const Vocabulary& vocabulary = tokenizer_.vocabulary();
  if (!fixed_length) return join_pieces(vocabulary, without_tokens(written, special_));
  std::string words;
  for (const std::int64_t token : written) words += (words.empty() ? "" : " ") + vocabulary.token(token);
  return words;
}

}  // namespace capdiff
