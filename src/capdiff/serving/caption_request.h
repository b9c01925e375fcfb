#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "capdiff/captioners/generation_options.h"
#include "capdiff/text/caption_template.h"

namespace capdiff {

/// What clients may ask of the model that is served.
struct ServedModel {
  std::string method;            ///< model_type of its folder
  std::int64_t max_words = 0;    ///< of a caption
  bool clip = false;             ///< whether there is a CLIP to choose with
  std::int64_t created = 0;      ///< when it was loaded, seconds since 1970
  GenerationOptions generation;  ///< what is drawn where a request does not say

  bool denoises() const { return !generation.left_to_right; }
};

/// Bounds of what a request may ask for.
struct RequestLimits {
  /// Captions drawn at the same time where the blanks of a sentence may have several lengths.
  static constexpr std::int64_t kMaxFillings = 64;

  std::size_t max_images = 16;
  std::int64_t max_candidates = 16;
  std::int64_t max_steps = 1000;
};

/// A picture as it came: the bytes of a file. They lie in the request's body or here.
struct SentPicture {
  std::span<const std::byte> bytes = {};
  std::vector<std::byte> decoded = {};  ///< from base64; `bytes` are these
  std::exception_ptr problem = {};      ///< why one of several has no bytes
};

/// What POST /v1/captions or /v1/chat/completions asks for.
struct CaptionRequest {
  std::vector<SentPicture> pictures;  ///< one or more
  bool several = false;               ///< answered as a list, even of one
  GenerationOptions options;
  std::optional<CaptionTemplate> sentence;  ///< whose blanks are filled
  bool stream = false;
  bool stream_usage = false;  ///< a chat's stream ends with how many tokens it had
  std::int64_t every = 1;     ///< steps between two events of a stream
};

/// Reads the body of POST /v1/captions, a form or JSON. Throws `RequestError` that names the option.
CaptionRequest parse_caption_request(std::string_view content_type, std::string_view body, const ServedModel& model,
                                     const RequestLimits& limits);

/// Reads the body of POST /v1/chat/completions: one picture in the newest message that has any, and the newest sentence
/// with blanks from there on. Members that captioning has no use for are passed over, as clients of that interface send
/// many.
CaptionRequest parse_chat_request(std::string_view body, const ServedModel& model, const RequestLimits& limits);

}  // namespace capdiff
