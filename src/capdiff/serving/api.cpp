#include "capdiff/serving/api.h"

#include <fmt/chrono.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>

#include "capdiff/base/hash.h"
#include "capdiff/base/progress.h"
#include "capdiff/base/utf8.h"
#include "capdiff/image/decode.h"
#include "capdiff/serving/answers.h"
#include "capdiff/serving/api_error.h"
#include "capdiff/serving/multipart.h"
#include "capdiff/serving/page.h"
#include "capdiff/serving/pending_request.h"

namespace capdiff {
namespace {

constexpr std::string_view kModelPath = "/v1/models/";

/// SHA-256 hides the length of a token, and where two differ.
std::string digest(const std::string& token) {
  return sha256_hex(std::as_bytes(std::span(token)));
}

/// A picture that a client has sent, decoded.
Image decode_sent(const SentPicture& picture, std::uint64_t max_pixels) {
  if (picture.problem) std::rethrow_exception(picture.problem);
  try {
    return decode(picture.bytes, "the picture", {.max_pixels = max_pixels});
  } catch (const Error& error) {
    refuse(error.code() == ErrorCode::unsupported ? Refusal::too_large : Refusal::invalid_image, "image", "{}",
           error.what());
  }
}

}  // namespace

/// Where a path leads.
struct Api::Route {
  std::string_view path;  ///< of the page's files any
  bool post;              ///< POST, otherwise GET
  bool protected_;        ///< asks for the token
  HttpResponse (Api::*answer)(const HttpRequest&);
};

const Api::Route* Api::find_route(std::string_view target) {
  static constexpr Route kPage{"page", false, false, &Api::page};
  static constexpr Route kModel{"/v1/models/{model}", false, true, &Api::model};
  static constexpr std::array<Route, 6> kRoutes{{{"/healthz", false, false, &Api::health},
                                                 {"/readyz", false, false, &Api::readiness},
                                                 {"/metrics", false, true, &Api::metrics},
                                                 {"/v1/models", false, true, &Api::models},
                                                 {"/v1/captions", true, true, nullptr},
                                                 {"/v1/chat/completions", true, true, nullptr}}};
  const auto found = std::ranges::find(kRoutes, target, &Route::path);
  if (found != kRoutes.end()) return &*found;
  if (target.starts_with(kModelPath)) return &kModel;
  return find_page_file(target) ? &kPage : nullptr;
}

Api::Api(Captioner& captioner, ServedModel model, const ApiOptions& options, ApiSurroundings surroundings)
    : model_(std::move(model)),
      options_(options),
      surroundings_(std::move(surroundings)),
      places_(options.max_queue),
      batcher_(captioner, options.batch,
               [this](const BatchRecord& batch) { metrics_.count_batch(batch.pictures, batch.seconds); }),
      decoders_(options.decoders) {}

Api::~Api() = default;

bool Api::authorized(const std::string& field) const {
  if (options_.token.empty()) return true;
  constexpr std::string_view scheme = "bearer ";
  std::string given = field;
  std::ranges::transform(given, given.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (!given.starts_with(scheme)) return false;
  const std::string a = digest(field.substr(scheme.size())), b = digest(options_.token);
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

bool Api::full() {
  if (!places_.exhausted()) return false;
  decoders_.drop_unwanted();
  batcher_.drop_abandoned();
  return places_.exhausted();
}

Allowance::Ticket Api::take_place() {
  Allowance::Ticket place = places_.take(1);
  return place || full() ? place : places_.take(1);
}

HttpResponse Api::queue_full(const std::string& id) const {
  const double seconds = metrics_.seconds_per_picture() * static_cast<double>(places_.taken());
  HttpResponse response =
      error_response({Refusal::queue_full, "", "as many pictures wait as the server takes; try again"}, id);
  response.headers.emplace_back("Retry-After", fmt::format("{}", std::clamp(std::ceil(seconds), 1.0, 60.0)));
  return response;
}

std::optional<HttpResponse> Api::refusal(const HttpRequest& head) {
  const Route* route = find_route(head.target);
  const auto refused = [&](Refusal refusal, const std::string& message) {
    return error_response({refusal, "", message}, head.id);
  };
  if (const auto objection = options_.hosts.objection(head)) return refused(Refusal::forbidden, *objection);
  if (!route) return refused(Refusal::not_found, "there is nothing at this path");
  if (route->protected_ && !authorized(head.authorization))
    return refused(Refusal::unauthorized, "this needs the header \"Authorization: Bearer TOKEN\" with the right token");
  if (head.method != (route->post ? "POST" : "GET")) {
    HttpResponse response = refused(Refusal::method_not_allowed, "this path has another method");
    response.headers.emplace_back("Allow", route->post ? "POST" : "GET, HEAD");
    return response;
  }
  if (!route->post) return std::nullopt;
  if (draining_) return refused(Refusal::draining, "the server is about to end");
  const std::string type = media_type(head.content_type);
  const bool form = type == "multipart/form-data" && head.target == "/v1/captions";
  if (type != "application/json" && !form)
    return refused(
        Refusal::unsupported_media_type,
        "send application/json" + std::string(head.target == "/v1/captions" ? " or multipart/form-data" : ""));
  if (full()) return queue_full(head.id);
  return std::nullopt;
}

void Api::handle(HttpRequest request, std::shared_ptr<HttpExchange> exchange) {
  const Route* route = find_route(request.target);
  if (route->answer) return exchange->respond((this->*route->answer)(request));
  Allowance::Ticket place = take_place();
  if (!place) return exchange->respond(queue_full(request.id));
  const bool chat = request.target == "/v1/chat/completions";
  post(std::make_shared<PendingRequest>(std::move(request), std::move(exchange), std::move(place), chat),
       &Api::caption);
}

void Api::post(const std::shared_ptr<PendingRequest>& pending,
               void (Api::*task)(const std::shared_ptr<PendingRequest>&)) {
  const auto run = [this, pending, task] {
    try {
      (this->*task)(pending);
    } catch (...) {
      pending->refuse_all(std::current_exception());
    }
  };
  decoders_.post(run, [pending] { return pending->abandoned(); });
}

void Api::caption(const std::shared_ptr<PendingRequest>& pending) {
  const HttpRequest& http = pending->http();
  pending->begin(pending->is_chat() ? parse_chat_request(*http.body, model_, options_.request)
                                    : parse_caption_request(http.content_type, *http.body, model_, options_.request));
  const std::size_t pictures = pending->asked().pictures.size();
  for (std::size_t places = 1; places < pictures; ++places)
    if (Allowance::Ticket place = take_place())
      pending->add_place(std::move(place));
    else
      refuse(Refusal::queue_full, "", "as many pictures wait as the server takes; try again");
  for (std::size_t i = 1; i < std::min(pictures, options_.decoders); ++i) post(pending, &Api::decode_next);
  decode_next(pending);
}

void Api::decode_next(const std::shared_ptr<PendingRequest>& pending) {
  auto next = pending->take_picture();
  if (!next || pending->abandoned()) return;
  caption_picture(pending, next->first, std::move(next->second));
  post(pending, &Api::decode_next);
}

void Api::caption_picture(const std::shared_ptr<PendingRequest>& pending, std::size_t picture,
                          Allowance::Ticket place) {
  const CaptionRequest& asked = pending->asked();
  CaptionJob job{.image = {},
                 .options = asked.options,
                 .sentence = asked.sentence,
                 .place = std::move(place),
                 .abandoned = [pending] { return pending->abandoned(); },
                 .done = [pending, picture](const Caption& caption) { pending->done(picture, caption); },
                 .failed = [pending, picture](std::exception_ptr error) { pending->failed(picture, error); }};
  std::exception_ptr problem;
  try {
    job.image = decode_sent(asked.pictures[picture], options_.max_pixels);
  } catch (...) {
    problem = std::current_exception();
  }
  pending->decoded();
  if (problem) return pending->failed(picture, problem);
  if (asked.stream && !pending->is_chat())
    job.options.watch = [pending](const WatchedCall& call) { pending->watched(call); };
  batcher_.submit(std::move(job));
}

void Api::drain(std::size_t accepted) {
  draining_ = true;
  if (accepted > 0)
    write_to_stderr(fmt::format("ending once {} {} answered; a second signal ends it at once\n", accepted,
                                accepted == 1 ? "request is" : "requests are"));
}

void Api::finished(const HttpRecord& record) {
  const std::string target = record.target.substr(0, record.target.find('?'));
  const Route* route = find_route(target);
  metrics_.count_request(route ? std::string(route->path) : "other", record.status, record.seconds);
  const std::time_t now = std::time(nullptr);
  write_to_stderr(fmt::format("{:%Y-%m-%dT%H:%M:%SZ} {} {} {} {} {:.1f} ms {} bytes\n", fmt::gmtime(now), record.id,
                              record.method.empty() ? "-" : printable(record.method),
                              record.target.empty() ? "-" : printable(record.target), record.status,
                              record.seconds * 1e3, record.bytes));
}

HttpResponse Api::health(const HttpRequest&) {
  return {.body = R"({"status":"ok"})"};
}

HttpResponse Api::readiness(const HttpRequest& request) {
  if (draining_) return error_response({Refusal::draining, "", "the server is about to end"}, request.id);
  if (full()) return error_response({Refusal::busy, "", "the queue is full"}, request.id);
  if (surroundings_.load().out_of_memory)
    return error_response({Refusal::busy, "", "the memory for requests is taken"}, request.id);
  return {.body = R"({"status":"ready"})"};
}

HttpResponse Api::metrics(const HttpRequest&) {
  const ServerLoad load = surroundings_.load();
  return {.content_type = "text/plain; version=0.0.4; charset=utf-8",
          .body = metrics_.text({.queued = places_.taken(),
                                 .connections = load.connections,
                                 .body_bytes = load.body_bytes,
                                 .dropped_lines = surroundings_.dropped_log_lines()})};
}

HttpResponse Api::models(const HttpRequest&) {
  return {.body = dump(models_json(model_json(model_, options_.request, options_.max_body_bytes)))};
}

HttpResponse Api::model(const HttpRequest& request) {
  if (request.target.substr(kModelPath.size()) != "default")
    return error_response({Refusal::not_found, "model", "the model is called \"default\""}, request.id);
  return {.body = dump(model_json(model_, options_.request, options_.max_body_bytes))};
}

HttpResponse Api::page(const HttpRequest& request) {
  return page_response(*find_page_file(request.target));
}

}  // namespace capdiff
