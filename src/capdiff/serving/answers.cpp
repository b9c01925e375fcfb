#include "capdiff/serving/answers.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "capdiff/text/unicode.h"

namespace capdiff {
namespace {

using Json = nlohmann::ordered_json;

bool is_special(const std::string& piece) {
  return piece.size() > 2 && piece.front() == '[' && piece.back() == ']';
}

/// A text without spaces and full stops, in lower case: what of a caption its pieces must say.
std::string letters_of(std::string_view text) {
  std::string letters;
  for (const char c : text)
    if (c != ' ' && c != '.') letters.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c);
  return letters;
}

/// The candidate that is the caption.
const Candidate& chosen(const Caption& caption) {
  const auto found = std::ranges::find(caption.candidates, caption.text, &Candidate::text);
  return found == caption.candidates.end() ? caption.candidates.front() : *found;
}

/// Adds the words of a candidate to what is said of it, if there are any.
void add_words(Json& json, const Candidate& candidate) {
  for (const CaptionWord& word : words_of(candidate))
    json["words"].push_back({{"text", word.text}, {"confidence", word.confidence}});
}

Json chat_choice(std::size_t index, const char* member, Json message, const char* reason) {
  return {{"index", index}, {member, std::move(message)}, {"finish_reason", reason ? Json(reason) : Json(nullptr)}};
}

Json chat_object(const std::string& id, std::int64_t created, const char* kind, Json choices) {
  return {{"id", id}, {"object", kind}, {"created", created}, {"model", "default"}, {"choices", std::move(choices)}};
}

/// The choices of a chat: the caption, then the other candidates.
std::vector<std::string> choices_of(const Caption& caption) {
  std::vector<std::string> texts{caption.text};
  const Candidate& first = chosen(caption);
  for (const Candidate& candidate : caption.candidates)
    if (&candidate != &first) texts.push_back(candidate.text);
  return texts;
}

std::size_t count_tokens(const Candidate& candidate) {
  if (candidate.pieces.empty()) return split_white_space(candidate.text).size();
  return static_cast<std::size_t>(
      std::ranges::count_if(candidate.pieces, [](const TracedPiece& piece) { return !is_special(piece.text); }));
}

/// A picture is no text, and nothing reads the text beside it: the prompt has no tokens.
Json usage_json(const Caption& caption) {
  std::size_t tokens = 0;
  for (const Candidate& candidate : caption.candidates) tokens += count_tokens(candidate);
  return {{"prompt_tokens", 0}, {"completion_tokens", tokens}, {"total_tokens", tokens}};
}

}  // namespace

std::vector<CaptionWord> words_of(const Candidate& candidate) {
  std::vector<CaptionWord> words;
  std::string all;
  for (const TracedPiece& piece : candidate.pieces) {
    if (is_special(piece.text)) continue;
    if (piece.text.starts_with("##") && !words.empty()) {
      words.back().text += piece.text.substr(2);
      words.back().confidence = std::min(words.back().confidence, piece.confidence);
    } else {
      words.push_back({piece.text, piece.confidence});
    }
  }
  const auto repeated = std::ranges::unique(words, {}, &CaptionWord::text);
  words.erase(repeated.begin(), repeated.end());
  for (const CaptionWord& word : words) all += word.text;
  if (letters_of(all) != letters_of(candidate.text)) words.clear();
  return words;
}

Json caption_json(const Caption& caption, const GenerationOptions& options, double seconds) {
  Json json{{"caption", caption.text}, {"candidates", Json::array()}};
  for (const Candidate& candidate : caption.candidates) {
    Json listed = to_json(candidate);
    add_words(listed, candidate);
    json["candidates"].push_back(std::move(listed));
  }
  if (!options.left_to_right) {
    json["steps"] = options.steps;
    json["guidance"] = options.guidance;
  }
  json["seed"] = options.seed;
  json["seconds"] = seconds;
  add_words(json, chosen(caption));
  return json;
}

Json step_json(const WatchedCall& call) {
  const Json step = to_json(CaptionTrace{{call.step()}})[0];
  return {{"call", step["call"]},
          {"calls", call.calls},
          {"t", step["t"]},
          {"text", step["text"]},
          {"pieces", step["pieces"]}};
}

Json model_json(const ServedModel& model, const RequestLimits& limits, std::size_t max_body_bytes) {
  const GenerationOptions& options = model.generation;
  Json defaults{{"seed", options.seed}, {"candidates", options.candidates}, {"select", name_of(options.select)}};
  if (model.denoises()) {
    defaults["steps"] = options.steps;
    defaults["guidance"] = options.guidance;
    defaults["back_refine"] = options.refine;
  }
  Json capdiff{{"method", model.method},
               {"fill", model.denoises()},
               {"stream", model.denoises()},
               {"max_words", model.max_words},
               {"defaults", std::move(defaults)},
               {"clip", model.clip},
               {"limits",
                {{"max_body_bytes", max_body_bytes},
                 {"max_images", limits.max_images},
                 {"max_candidates", limits.max_candidates},
                 {"max_steps", limits.max_steps}}}};
  return {{"id", "default"},
          {"object", "model"},
          {"created", model.created},
          {"owned_by", "capdiff"},
          {"capdiff", std::move(capdiff)}};
}

Json models_json(Json model) {
  return {{"object", "list"}, {"data", Json::array({std::move(model)})}};
}

Json chat_json(const Caption& caption, const std::string& id, std::int64_t created) {
  Json choices = Json::array();
  for (const std::string& text : choices_of(caption))
    choices.push_back(chat_choice(choices.size(), "message", {{"role", "assistant"}, {"content", text}}, "stop"));
  Json answer = chat_object(id, created, "chat.completion", std::move(choices));
  answer["usage"] = usage_json(caption);
  return answer;
}

std::vector<Json> chat_chunks(const Caption& caption, const std::string& id, std::int64_t created, bool usage) {
  std::vector<Json> chunks;
  const auto add = [&](Json choices) {
    chunks.push_back(chat_object(id, created, "chat.completion.chunk", std::move(choices)));
    if (usage) chunks.back()["usage"] = nullptr;
  };
  const std::vector<std::string> texts = choices_of(caption);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    add(Json::array({chat_choice(i, "delta", {{"role", "assistant"}, {"content", texts[i]}}, nullptr)}));
    add(Json::array({chat_choice(i, "delta", Json::object(), "stop")}));
  }
  if (!usage) return chunks;
  add(Json::array());
  chunks.back()["usage"] = usage_json(caption);
  return chunks;
}

}  // namespace capdiff
