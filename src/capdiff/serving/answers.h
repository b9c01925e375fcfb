#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "capdiff/captioners/captioner.h"
#include "capdiff/serving/caption_request.h"

namespace capdiff {

/// A word of a caption, and how certain the model is of its least certain piece.
struct CaptionWord {
  std::string text;
  double confidence = 0.0;
};

/// The words of a candidate: its pieces without special tokens and repetitions. Empty where they do not make up its
/// text, as where a method does not tell pieces.
std::vector<CaptionWord> words_of(const Candidate& candidate);

/// The answer to one picture: {"caption", "candidates", "steps", "guidance", "seed", "seconds", "words"}.
nlohmann::ordered_json caption_json(const Caption& caption, const GenerationOptions& options, double seconds);
/// An event of a stream: {"call", "calls", "t", "text", "pieces"}.
nlohmann::ordered_json step_json(const WatchedCall& call);
/// The one model, as GET /v1/models lists it and GET /v1/models/default tells it.
nlohmann::ordered_json model_json(const ServedModel& model, const RequestLimits& limits, std::size_t max_body_bytes);
/// The list of GET /v1/models.
nlohmann::ordered_json models_json(nlohmann::ordered_json model);
/// A whole chat.completion: the caption first, then the other candidates, and how many tokens they have: pieces of
/// words or, where a method does not tell pieces, words.
nlohmann::ordered_json chat_json(const Caption& caption, const std::string& id, std::int64_t created);
/// The chat.completion.chunk of a streamed one: two for every choice and, with `usage`, a last one that has the tokens.
std::vector<nlohmann::ordered_json> chat_chunks(const Caption& caption, const std::string& id, std::int64_t created,
                                                bool usage);

}  // namespace capdiff
