#include "library/capdiff.h"

#include <dlfcn.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <new>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "capdiff/backends/backend.h"
#include "capdiff/backends/processor.h"
#include "capdiff/base/error.h"
#include "capdiff/base/utf8.h"
#include "capdiff/captioners/captioner.h"
#include "capdiff/formats/model_places.h"
#include "capdiff/image/decode.h"
#include "capdiff/models/clip_encoder.h"
#include "capdiff/selection/clip_selector.h"

using namespace capdiff;

struct capdiff_model {
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Captioner> captioner;
  bool has_clip = false;
  std::mutex in_use;
};

struct capdiff_captions {
  std::vector<std::string> texts;
  std::string json;
};

namespace {

constexpr std::size_t kMaxPictures = 65'536;  ///< of one call

thread_local std::string last_error;

void remember(const char* error) noexcept {
  try {
    last_error = error;
  } catch (const std::bad_alloc&) {
    last_error.clear();
  }
}

/// OpenMP's threads do not survive a fork: work on several of them would wait for ever in the child.
void expect_own_threads(const Backend& backend) {
  static std::atomic<pid_t> owner = 0;
  if (backend.options().threads <= 1) return;
  pid_t before = 0;
  if (!owner.compare_exchange_strong(before, ::getpid()) && before != ::getpid())
    fail(ErrorCode::unsupported,
         "threads of capdiff were started before this process was forked: start processes with spawn, or use one "
         "thread");
}

capdiff_status status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::usage: return CAPDIFF_USAGE;
    case ErrorCode::not_found: return CAPDIFF_NOT_FOUND;
    case ErrorCode::invalid_input: return CAPDIFF_INVALID_INPUT;
    case ErrorCode::invalid_model: return CAPDIFF_INVALID_MODEL;
    case ErrorCode::unsupported: return CAPDIFF_UNSUPPORTED;
    case ErrorCode::io: return CAPDIFF_IO;
    case ErrorCode::internal: return CAPDIFF_INTERNAL;
  }
  return CAPDIFF_INTERNAL;
}

/// What `call` throws, as a status and the text of `capdiff_last_error`.
template <class Call>
capdiff_status guarded(Call&& call) noexcept {
  try {
    call();
    return CAPDIFF_OK;
  } catch (const Error& error) {
    remember(error.what());
    return status_of(error.code());
  } catch (const std::bad_alloc&) {
    remember("there is not enough memory");
    return CAPDIFF_NO_MEMORY;
  } catch (const std::exception& error) {
    remember(error.what());
    return CAPDIFF_INTERNAL;
  } catch (...) {
    remember("something was thrown that is no exception of the standard library");
    return CAPDIFF_INTERNAL;
  }
}

void expect_given(const void* argument, const char* name) {
  if (!argument) fail(ErrorCode::usage, "{} is NULL", name);
}

JsonReader reader_of(const char* json, const char* name) {
  return JsonReader(json ? parse_json(json, name, ErrorCode::usage) : nlohmann::json::object(), name, ErrorCode::usage);
}

std::filesystem::path default_folder() {
  Dl_info info{};
  const bool found = ::dladdr(reinterpret_cast<const void*>(&capdiff_open), &info) != 0 && info.dli_fname;
  const ModelPlaces places{.name = "default", .variable = "CAPDIFF_MODEL", .binary = found ? info.dli_fname : ""};
  if (const auto folder = places.find()) return *folder;
  fail(ErrorCode::not_found, "no model: name a folder, or set $CAPDIFF_MODEL; looked in {}", places.listed());
}

Image image_of(const capdiff_picture& picture, std::size_t i) {
  const std::string name = fmt::format("picture {}", i);
  if (!picture.data) fail(ErrorCode::usage, "the data of {} are NULL", name);
  const auto* bytes = static_cast<const std::byte*>(picture.data);
  if (picture.width == 0 && picture.height == 0) return decode({bytes, picture.size}, name);
  if (picture.width < 1 || picture.height < 1 ||
      picture.size / 3 / static_cast<std::size_t>(picture.width) != static_cast<std::size_t>(picture.height) ||
      picture.size % (3 * static_cast<std::size_t>(picture.width)) != 0)
    fail(ErrorCode::usage, "{}: {} bytes are not 3 · {} · {}", name, picture.size, picture.width, picture.height);
  const auto* samples = static_cast<const std::uint8_t*>(picture.data);
  return Image(picture.width, picture.height, std::vector<std::uint8_t>(samples, samples + picture.size));
}

GenerationOptions options_of(const capdiff_model& model, const char* json) {
  nlohmann::json object = json ? parse_json(json, "options", ErrorCode::usage) : nlohmann::json::object();
  const JsonReader all(object, "options", ErrorCode::usage);
  GenerationOptions options = model.captioner->defaults();
  const std::string preset = all.has("preset") ? all.get_choice("preset", {"fast", "best"}) : "";
  if (preset == "fast") options = fast(std::move(options));
  if (preset == "best") options = best(std::move(options));
  if (all.has("length")) options.length = all.get_int("length", 1, 4096);
  object.erase("preset");
  object.erase("length");
  options = generation_options(JsonReader(std::move(object), "options", ErrorCode::usage), std::move(options));
  if (options.select == Selection::clip && !model.has_clip)
    fail(ErrorCode::usage, "\"select\": \"clip\" needs a CLIP: name its folder as \"clip\" when the model is opened");
  return options;
}

capdiff_captions* captions_of(const std::vector<Caption>& captions) {
  auto result = std::make_unique<capdiff_captions>();
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Caption& caption : captions) {
    result->texts.push_back(caption.text);
    nlohmann::ordered_json object{{"caption", caption.text}, {"candidates", nlohmann::ordered_json::array()}};
    for (const Candidate& candidate : caption.candidates) object["candidates"].push_back(to_json(candidate));
    list.push_back(std::move(object));
  }
  result->json = list.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return result.release();
}

}  // namespace

const char* capdiff_version(void) {
  return CAPDIFF_VERSION;
}

const char* capdiff_last_error(void) {
  return last_error.c_str();
}

capdiff_status capdiff_open(const char* folder, const char* settings, capdiff_model** model) {
  return guarded([&] {
    expect_given(model, "model");
    *model = nullptr;
    const JsonReader reader = reader_of(settings, "settings");
    const BackendOptions backend{
        .compute = compute_type_of(reader.get_choice("dtype", {"auto", "f32", "bf16", "int8"}, "auto")),
        .threads = static_cast<int>(reader.get_int("threads", 0, 1024, 0)),
        .deterministic = reader.get_bool("deterministic", false)};
    const std::string clip = reader.get_string("clip", "");
    reader.reject_unknown_keys();
    auto opened = std::make_unique<capdiff_model>();
    opened->backend = make_onednn_backend(backend);
    expect_own_threads(*opened->backend);
    opened->captioner = load_captioner(ModelFolder::open(folder ? folder : default_folder()), *opened->backend);
    opened->has_clip = !clip.empty();
    if (opened->has_clip)
      opened->captioner->select_with(
          std::make_shared<ClipSelector>(std::make_shared<ClipEncoder>(ModelFolder::open(clip), *opened->backend)));
    *model = opened.release();
  });
}

void capdiff_close(capdiff_model* model) {
  delete model;
}

capdiff_status capdiff_caption(capdiff_model* model, const capdiff_picture* pictures, size_t count, const char* options,
                               capdiff_captions** captions) {
  return guarded([&] {
    expect_given(captions, "captions");
    *captions = nullptr;
    expect_given(model, "model");
    expect_own_threads(*model->backend);
    if (count > 0) expect_given(pictures, "pictures");
    if (count > kMaxPictures) fail(ErrorCode::usage, "{} pictures are more than {} in one call", count, kMaxPictures);
    const GenerationOptions generation = options_of(*model, options);
    std::vector<Image> images;
    for (std::size_t i = 0; i < count; ++i) images.push_back(image_of(pictures[i], i));
    const std::lock_guard lock(model->in_use);
    *captions = captions_of(model->captioner->caption(images, generation));
  });
}

capdiff_status capdiff_fill(capdiff_model* model, const capdiff_picture* picture, const char* sentence,
                            const char* options, capdiff_captions** captions) {
  return guarded([&] {
    expect_given(captions, "captions");
    *captions = nullptr;
    expect_given(model, "model");
    expect_given(picture, "picture");
    expect_given(sentence, "sentence");
    expect_own_threads(*model->backend);
    if (!is_utf8(sentence)) fail(ErrorCode::usage, "the sentence is not UTF-8");
    const CaptionTemplate blanks = parse_caption_template(sentence);
    const GenerationOptions generation = options_of(*model, options);
    const Image image = image_of(*picture, 0);
    const std::lock_guard lock(model->in_use);
    *captions = captions_of({model->captioner->fill(image, blanks, generation)});
  });
}

size_t capdiff_count(const capdiff_captions* captions) {
  return captions ? captions->texts.size() : 0;
}

const char* capdiff_text(const capdiff_captions* captions, size_t i) {
  return i < capdiff_count(captions) ? captions->texts[i].c_str() : nullptr;
}

const char* capdiff_json(const capdiff_captions* captions) {
  return captions ? captions->json.c_str() : "[]";
}

void capdiff_free(capdiff_captions* captions) {
  delete captions;
}
