#include "capdiff/serving/caption_request.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

#include "capdiff/base/utf8.h"
#include "capdiff/serving/api_error.h"
#include "capdiff/serving/base64.h"
#include "capdiff/serving/multipart.h"

namespace capdiff {
namespace {

using JsonValue = nlohmann::json;

constexpr std::size_t kMaxJsonValues = 4096;
constexpr std::size_t kMaxSentence = 1000;  ///< bytes
constexpr auto kMinChatSeed = std::numeric_limits<std::int64_t>::min();
constexpr auto kMaxSeed = std::numeric_limits<std::int64_t>::max();

enum class OptionType { integer, number, boolean, text };

struct OptionName {
  std::string_view name;
  OptionType type;
  bool denoising;  ///< means nothing to a model that writes from left to right
};

constexpr std::array<OptionName, 10> kOptions{{{"n", OptionType::integer, false},
                                               {"steps", OptionType::integer, true},
                                               {"guidance", OptionType::number, true},
                                               {"length", OptionType::integer, false},
                                               {"seed", OptionType::integer, false},
                                               {"template", OptionType::text, true},
                                               {"select", OptionType::text, false},
                                               {"back_refine", OptionType::boolean, true},
                                               {"stream", OptionType::boolean, true},
                                               {"every", OptionType::integer, true}}};

const OptionName* find_option(std::string_view name) {
  const auto found = std::ranges::find(kOptions, name, &OptionName::name);
  return found == kOptions.end() ? nullptr : &*found;
}

/// An upper bound for how many values a JSON text has: a document takes many times the memory of a text that is all
/// brackets, so such a text is refused before it is parsed.
std::size_t json_values(std::string_view text) {
  std::size_t values = 1;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (quoted) {
      i = text.find_first_of("\"\\", i);
      if (i == std::string_view::npos) break;
      if (text[i] == '"')
        quoted = false;
      else
        ++i;
      continue;
    }
    const char c = text[i];
    quoted = c == '"';
    values += c == ',' || c == '[' || c == '{';
  }
  return values;
}

JsonValue parse_body(std::string_view body, const RequestLimits& limits) {
  const std::size_t max_values = kMaxJsonValues + limits.max_images;
  if (json_values(body) > max_values) refuse(Refusal::invalid_json, "", "the body has more than {} values", max_values);
  JsonValue json;
  try {
    json = parse_json(body, "the body");
  } catch (const Error& error) {
    refuse(Refusal::invalid_json, "", "{}", error.what());
  }
  if (!json.is_object()) refuse(Refusal::invalid_json, "", "the body is not a JSON object");
  return json;
}

/// Takes a member out of an object.
JsonValue take(JsonValue& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return nullptr;
  JsonValue value = std::move(*found);
  object.erase(found);
  return value;
}

/// A member of an object, or null where there is none.
const JsonValue& member(const JsonValue& object, const char* key) {
  static const JsonValue kNone;
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found == object.end() ? kNone : *found;
}

/// A picture that is given as text, of the field `param`.
SentPicture picture_of_text(std::string_view text, const std::string& param) {
  constexpr std::string_view scheme = "data:", mark = ";base64,";
  if (equal_ignoring_case(text.substr(0, scheme.size()), scheme)) {
    const std::size_t comma = text.find(',');
    if (comma == std::string_view::npos || comma + 1 < mark.size() ||
        !equal_ignoring_case(text.substr(comma + 1 - mark.size(), mark.size()), mark))
      refuse(Refusal::invalid_image, param, "\"{}\" is a data URL without \";base64,\"", param);
    text.remove_prefix(comma + 1);
  } else if (text.substr(0, 16).find(':') != std::string_view::npos) {
    refuse(Refusal::url_not_allowed, param,
           "\"{}\" is a URL; this server fetches nothing: send the picture itself, as base64 or a data URL", param);
  }
  SentPicture picture;
  if (auto bytes = decode_base64(text))
    picture.decoded = std::move(*bytes);
  else
    refuse(Refusal::invalid_image, param, "\"{}\" is not base64 (RFC 4648 with padding, without line breaks)", param);
  picture.bytes = picture.decoded;
  return picture;
}

SentPicture picture_of_json(const JsonValue& value, const std::string& param) {
  if (!value.is_string())
    refuse(Refusal::invalid_image, param, "\"{}\" is not a string with a picture as base64 or data URL", param);
  return picture_of_text(value.get_ref<const std::string&>(), param);
}

void check_count(std::size_t count, const RequestLimits& limits, const char* param) {
  if (count == 0) refuse(Refusal::invalid_image, "image", "there is no picture: send one as \"image\"");
  if (count > limits.max_images)
    refuse(Refusal::too_large, param, "{} pictures are more than the limit of {}", count, limits.max_images);
}

/// Takes the pictures out of the body of a caption request.
void take_pictures(JsonValue& body, CaptionRequest& request, const RequestLimits& limits) {
  const JsonValue one = take(body, "image"), many = take(body, "images");
  if (!one.is_null() && !many.is_null())
    refuse(Refusal::invalid_option, "images", "\"image\" and \"images\" do not go together");
  if (many.is_null()) {
    check_count(one.is_null() ? 0 : 1, limits, "image");
    request.pictures.push_back(picture_of_json(one, "image"));
    return;
  }
  if (!many.is_array()) refuse(Refusal::invalid_option, "images", "\"images\" is not an array");
  check_count(many.size(), limits, "images");
  request.several = true;
  for (const JsonValue& picture : many) {
    try {
      request.pictures.push_back(picture_of_json(picture, "images"));
    } catch (const RequestError&) {
      request.pictures.push_back({.problem = std::current_exception()});
    }
  }
}

/// The value of a form's text field, as JSON has it.
JsonValue value_of_text(const OptionName& option, std::string_view text) {
  const auto number = [&]<class T>(T value) -> JsonValue {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size()) return value;
    return std::string(text);
  };
  switch (option.type) {
    case OptionType::integer: return number(std::int64_t{});
    case OptionType::number: return number(double{});
    case OptionType::boolean:
      return text == "true" ? JsonValue(true) : text == "false" ? JsonValue(false) : JsonValue(std::string(text));
    case OptionType::text: return std::string(text);
  }
  return nullptr;
}

/// Reads the options of a request, each checked on its own and against the others.
class OptionReader {
 public:
  OptionReader(const JsonValue& body, const ServedModel& model, const RequestLimits& limits)
      : json_(body, "the request"), model_(model), limits_(limits) {}

  void read(CaptionRequest& request) {
    refuse_unknown();
    GenerationOptions& options = request.options;
    options = model_.generation;
    integer("n", 1, limits_.max_candidates, options.candidates);
    integer("steps", 1, limits_.max_steps, options.steps);
    value("guidance", [&] { options.guidance = json_.get_number("guidance", -100.0, 100.0); });
    value("length", [&] { options.length = json_.get_int("length", 1, model_.max_words); });
    value("seed", [&] { options.seed = static_cast<std::uint64_t>(json_.get_int("seed", 0, kMaxSeed)); });
    value("back_refine", [&] { options.refine = json_.get_bool("back_refine"); });
    value("stream", [&] { request.stream = json_.get_bool("stream"); });
    integer("every", 1, limits_.max_steps, request.every);
    value("select", [&] { options.select = selection(json_.get_choice("select", {"first", "mbr", "clip"})); });
    value("template", [&] { request.sentence = sentence(json_.get_string("template"), options); });
    if (options.select == Selection::clip && !model_.clip)
      refuse(Refusal::unsupported, "select", "the server has no CLIP to choose with");
    if (request.sentence && options.length)
      refuse(Refusal::invalid_option, "length", "the template says how many words there are");
    if (request.stream && request.several)
      refuse(Refusal::invalid_option, "stream", "the caption of one picture can be streamed, not of several");
  }

  /// Reads what chats have otherwise: seeds below 0, and streams whatever the model.
  void read_chat(CaptionRequest& request) const {
    value("seed",
          [&] { request.options.seed = static_cast<std::uint64_t>(json_.get_int("seed", kMinChatSeed, kMaxSeed)); });
    value("stream", [&] { request.stream = json_.get_bool("stream"); });
    value("stream_options",
          [&] { request.stream_usage = json_.get_object("stream_options").get_bool("include_usage", false); });
  }

 private:
  void refuse_unknown() const {
    for (const auto& [name, value] : json_.json().items()) {
      const OptionName* option = find_option(name);
      if (!option) refuse(Refusal::invalid_option, printable(name), "there is no option \"{}\"", printable(name));
      const bool wanted = !value.is_null() && value != JsonValue(false);
      if (option->denoising && wanted && !model_.denoises())
        refuse(Refusal::unsupported, name, "\"{}\": this model writes from left to right; it does not denoise", name);
    }
  }

  /// Reads an option that is there; what its reader throws becomes an error that names it.
  template <class Read>
  void value(const char* name, Read&& read) const {
    if (!json_.has(name)) return;
    try {
      read();
    } catch (const Error& error) {
      refuse(Refusal::invalid_option, name, "{}", error.what());
    }
  }

  void integer(const char* name, std::int64_t min, std::int64_t max, std::int64_t& option) const {
    value(name, [&] { option = json_.get_int(name, min, max); });
  }

  /// A sentence whose blanks may be filled: every choice of their lengths is drawn at the same time, which may be no
  /// more work than the largest request without blanks.
  CaptionTemplate sentence(const std::string& text, const GenerationOptions& options) const {
    if (text.size() > kMaxSentence)
      fail(ErrorCode::usage, "\"template\" has {} bytes, more than {}", text.size(), kMaxSentence);
    CaptionTemplate sentence = parse_caption_template(text);
    const std::int64_t by_work = limits_.max_candidates * limits_.max_steps / options.steps;
    const std::int64_t captions = std::max(options.candidates, std::min(RequestLimits::kMaxFillings, by_work));
    sentence.lengths(static_cast<std::size_t>(captions / options.candidates));
    return sentence;
  }

  JsonReader json_;
  const ServedModel& model_;
  const RequestLimits& limits_;
};

CaptionRequest parse_form_request(std::string_view content_type, std::string_view body, const ServedModel& model,
                                  const RequestLimits& limits) {
  CaptionRequest request;
  JsonValue options = JsonValue::object();
  for (const FormPart& part : parse_form(body, content_type, limits.max_images + kOptions.size())) {
    if (part.name == "image" || part.name == "file") {
      request.pictures.push_back({std::as_bytes(std::span(part.content))});
      check_count(request.pictures.size(), limits, "image");
      continue;
    }
    const OptionName* option = find_option(part.name);
    if (!option)
      refuse(Refusal::invalid_option, printable(part.name), "there is no option \"{}\"", printable(part.name));
    if (options.contains(part.name)) refuse(Refusal::invalid_option, part.name, "\"{}\" is given twice", part.name);
    if (part.content.size() > kMaxSentence || !is_utf8(part.content))
      refuse(Refusal::invalid_option, part.name, "\"{}\" is not UTF-8 text of at most {} bytes", part.name,
             kMaxSentence);
    options[part.name] = value_of_text(*option, part.content);
  }
  check_count(request.pictures.size(), limits, "image");
  request.several = request.pictures.size() > 1;
  OptionReader(options, model, limits).read(request);
  return request;
}

/// Takes a text of a chat for the sentence if it has blanks.
void read_text(const JsonValue& text, std::string& sentence) {
  if (!text.is_string()) return;
  const auto& words = text.get_ref<const std::string&>();
  if (words.find("[MASK") != std::string::npos || words.find("[UNK]") != std::string::npos) sentence = words;
}

/// The picture and the sentence with blanks, if any, of a chat's message.
void read_message(const JsonValue& content, CaptionRequest& request, std::string& sentence) {
  read_text(content, sentence);
  if (!content.is_array()) return;
  for (const JsonValue& part : content) {
    const JsonValue& type = member(part, "type");
    if (type == "text") {
      read_text(member(part, "text"), sentence);
    } else if (type == "image_url") {
      // {"url": "…"}, or the text itself.
      const JsonValue& url = member(part, "image_url");
      request.pictures.push_back(picture_of_json(url.is_object() ? member(url, "url") : url, "image_url"));
      if (request.pictures.size() > 1)
        refuse(Refusal::invalid_option, "messages", "a message has more than one picture; this server captions one");
    }
  }
}

}  // namespace

CaptionRequest parse_caption_request(std::string_view content_type, std::string_view body, const ServedModel& model,
                                     const RequestLimits& limits) {
  if (media_type(content_type) == "multipart/form-data") return parse_form_request(content_type, body, model, limits);
  JsonValue json = parse_body(body, limits);
  CaptionRequest request;
  take_pictures(json, request, limits);
  OptionReader(json, model, limits).read(request);
  return request;
}

CaptionRequest parse_chat_request(std::string_view body, const ServedModel& model, const RequestLimits& limits) {
  const JsonValue json = parse_body(body, limits);
  const JsonValue& messages = member(json, "messages");
  if (!messages.is_array()) refuse(Refusal::invalid_option, "messages", "\"messages\" is not an array");
  CaptionRequest request;
  std::string sentence;
  for (auto message = messages.rbegin(); message != messages.rend() && request.pictures.empty(); ++message) {
    std::string said;
    read_message(member(*message, "content"), request, said);
    if (sentence.empty()) sentence = std::move(said);
  }
  if (request.pictures.empty())
    refuse(Refusal::invalid_image, "messages", "no message has an \"image_url\" with a picture as data URL");
  JsonValue options = JsonValue::object();
  if (json.contains("n")) options["n"] = json["n"];
  if (!sentence.empty()) options["template"] = sentence;
  OptionReader(options, model, limits).read(request);
  JsonValue further = JsonValue::object();
  for (const char* name : {"seed", "stream", "stream_options"})
    if (json.contains(name)) further[name] = json[name];
  OptionReader(further, model, limits).read_chat(request);
  return request;
}

}  // namespace capdiff
