#include "capdiff/training/autoregressive_recipe.h"

#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/captioners/checkpoint_import.h"
#include "capdiff/text/clean_caption.h"
#include "capdiff/training/model_files.h"
#include "capdiff/training/starting_point.h"

namespace capdiff {

namespace fs = std::filesystem;

AutoregressiveConfig autoregressive_config(const Recipe& recipe) {
  const StartingPoint from = StartingPoint::of(recipe);
  if (!from.part("image_encoder"))
    fail(ErrorCode::usage, "{}: [autoregressive] needs from.image_encoder, a folder with an image encoder",
         recipe.name());
  if (!recipe.has("model") && from.model())
    return AutoregressiveConfig::from_json(ModelFolder::open(*from.model()).config());
  return AutoregressiveConfig::from_json(recipe.table("model"));
}

Vocabulary autoregressive_vocabulary(const Recipe& recipe, const fs::path& run, const AutoregressiveConfig& config) {
  const fs::path path = input_file(recipe, run, "vocab.txt");
  Vocabulary vocabulary = Vocabulary::load(path);
  if (vocabulary.size() != config.text.bert.vocab_size)
    fail(ErrorCode::usage, "{}: {} pieces, but the recipe has model.text.vocab_size = {}", path.string(),
         vocabulary.size(), config.text.bert.vocab_size);
  return vocabulary;
}

ParameterStore autoregressive_parameters(const Recipe& recipe) {
  const StartingPoint from = StartingPoint::of(recipe);
  ParameterStore parameters;
  if (from.model())
    add_tensors(parameters, ModelFolder::open(*from.model()).weights(),
                [](const std::string& name) { return name.starts_with("text_decoder.") ? name : ""; });
  if (const auto file = from.weights("image_encoder")) add_tensors(parameters, *file, image_encoder_name);
  parameters.initialise_missing(recipe.seed());
  return parameters;
}

Preprocessor autoregressive_preprocessor(const AutoregressiveConfig& config) {
  Preprocessor preprocessor;
  preprocessor.size = static_cast<int>(image_size(config.image_encoder));
  return preprocessor;
}

EncodedCaptions prompted_captions(const WordPieceTokenizer& tokenizer, const AutoregressiveConfig& config) {
  const std::vector<std::int64_t> prompt = prompt_tokens(config, tokenizer);
  const auto length = static_cast<std::size_t>(config.length);
  if (prompt.size() + 2 > length)
    fail(ErrorCode::usage, "the prompt \"{}\" leaves no room in captions of {} positions", config.prompt, length);
  const CaptionCleaning cleaning{.max_words = static_cast<std::size_t>(config.max_words), .keep_full_stop = false};
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  return {[=, &tokenizer, &vocabulary](std::string_view caption) -> std::vector<std::int64_t> {
            std::vector<std::int64_t> pieces = tokenizer.tokenize_to_ids(clean_caption(caption, cleaning));
            if (pieces.empty()) return {};
            pieces.resize(std::min(pieces.size(), length - prompt.size() - 1));
            std::vector<std::int64_t> ids = prompt;
            ids.insert(ids.end(), pieces.begin(), pieces.end());
            ids.push_back(vocabulary.sep());
            ids.resize(length, vocabulary.pad());
            return ids;
          },
          config.length, vocabulary.pad()};
}

void export_autoregressive(const fs::path& folder, const Recipe& recipe, const fs::path& run,
                           const std::map<std::string, HostTensor>& weights) {
  const AutoregressiveConfig config = autoregressive_config(recipe);
  AtomicFolder out(folder);
  write_weights(out, weights);
  autoregressive_vocabulary(recipe, run, config).save(out.file("vocab.txt"));
  write_json(out.file("config.json"), config.to_json());
  write_json(out.file("preprocessor_config.json"), to_json(autoregressive_preprocessor(config)));
  write_json(out.file("generation_config.json"), generation_settings(recipe));
  out.commit();
}

}  // namespace capdiff
