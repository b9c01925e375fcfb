#include "capdiff/captioners/captioner.h"

#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"
#include "capdiff/captioners/autoregressive.h"
#include "capdiff/captioners/ladic.h"
#include "capdiff/captioners/prefix_diffusion.h"
#include "capdiff/selection/clip_selector.h"
#include "capdiff/selection/relevance.h"

namespace capdiff {
namespace {

std::vector<std::vector<std::string>> texts_of(std::span<const Caption> captions) {
  std::vector<std::vector<std::string>> texts;
  for (const Caption& caption : captions)
    for (texts.emplace_back(); const Candidate& candidate : caption.candidates) texts.back().push_back(candidate.text);
  return texts;
}

void choose(Caption& caption, std::span<const double> relevance) {
  for (std::size_t k = 0; k < relevance.size(); ++k) caption.candidates[k].relevance = relevance[k];
  caption.text = caption.candidates[most_relevant(relevance)].text;
}

}  // namespace

nlohmann::ordered_json to_json(const Candidate& candidate) {
  nlohmann::ordered_json object{{"text", candidate.text}, {"score", candidate.score}, {"seed", candidate.seed}};
  if (candidate.relevance) object["relevance"] = *candidate.relevance;
  return object;
}

double rank_of(const Candidate& candidate) {
  return candidate.relevance.value_or(candidate.score);
}

std::vector<Candidate> most_relevant_first(const Caption& caption) {
  std::vector<double> ranks;
  for (const Candidate& candidate : caption.candidates) ranks.push_back(rank_of(candidate));
  std::vector<Candidate> candidates;
  for (const std::size_t i : by_relevance(ranks)) candidates.push_back(caption.candidates[i]);
  return candidates;
}

std::vector<Caption> Captioner::caption(std::span<const Image> images, const GenerationOptions& options) {
  if (options.select == Selection::clip && !clip_)
    fail(ErrorCode::usage, "choosing captions by CLIP (--select clip) needs a CLIP: --clip DIR");
  if (images.empty()) return {};
  std::vector<Caption> captions = draw(images, options);
  for (Caption& caption : captions) caption.text = caption.candidates.front().text;
  if (options.select == Selection::first) return captions;
  const std::vector<std::vector<std::string>> texts = texts_of(captions);
  if (options.select == Selection::clip) {
    const std::vector<std::vector<double>> cosines = clip_->cosines(images, texts);
    for (std::size_t i = 0; i < captions.size(); ++i) choose(captions[i], cosines[i]);
  } else {
    for (std::size_t i = 0; i < captions.size(); ++i)
      choose(captions[i], minimum_bayes_risk(texts[i], options.utility).scores);
  }
  return captions;
}

GenerationOptions folder_generation(const ModelFolder& folder, const GenerationOptions& defaults) {
  return folder.generation_config() ? generation_options(*folder.generation_config(), defaults) : defaults;
}

Preprocessor folder_preprocessor(const ModelFolder& folder, const Preprocessor& otherwise, std::int64_t image_size) {
  const auto& json = folder.preprocessor_config();
  const Preprocessor preprocessor = json ? preprocessor_from_json(json->json(), json->source()) : otherwise;
  if (preprocessor.size != image_size)
    fail(ErrorCode::invalid_model,
         "{}: preprocessor_config.json makes pictures of {} pixels, the image encoder takes {}", folder.path().string(),
         preprocessor.size, image_size);
  return preprocessor;
}

std::unique_ptr<Captioner> load_captioner(const ModelFolder& folder, Backend& backend) {
  const std::string type = folder.config().get_choice("model_type", {"ladic", "prefix-diffusion", "autoregressive"});
  if (type == "prefix-diffusion") return std::make_unique<PrefixDiffusionCaptioner>(folder, backend);
  if (type == "autoregressive") return std::make_unique<AutoregressiveCaptioner>(folder, backend);
  return std::make_unique<LadicCaptioner>(folder, backend);
}

}  // namespace capdiff
