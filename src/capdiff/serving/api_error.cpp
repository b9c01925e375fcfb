#include "capdiff/serving/api_error.h"

#include <nlohmann/json.hpp>

namespace capdiff {
namespace {

struct RefusalKind {
  Refusal refusal;
  int status;
  std::string_view name;
};

constexpr RefusalKind kRefusals[] = {
    {Refusal::bad_request, 400, "bad_request"},
    {Refusal::invalid_json, 400, "invalid_json"},
    {Refusal::invalid_option, 400, "invalid_option"},
    {Refusal::invalid_image, 400, "invalid_image"},
    {Refusal::url_not_allowed, 400, "url_not_allowed"},
    {Refusal::unauthorized, 401, "unauthorized"},
    {Refusal::forbidden, 403, "forbidden"},
    {Refusal::not_found, 404, "not_found"},
    {Refusal::method_not_allowed, 405, "method_not_allowed"},
    {Refusal::timeout, 408, "timeout"},
    {Refusal::too_large, 413, "too_large"},
    {Refusal::unsupported_media_type, 415, "unsupported_media_type"},
    {Refusal::unsupported, 422, "unsupported"},
    {Refusal::queue_full, 429, "queue_full"},
    {Refusal::headers_too_large, 431, "headers_too_large"},
    {Refusal::internal, 500, "internal"},
    {Refusal::draining, 503, "draining"},
    {Refusal::busy, 503, "busy"},
};

const RefusalKind& kind_of(Refusal refusal) {
  return kRefusals[static_cast<std::size_t>(refusal)];
}

}  // namespace

int status_of(Refusal refusal) {
  return kind_of(refusal).status;
}

std::string_view name_of(Refusal refusal) {
  return kind_of(refusal).name;
}

RequestError as_request_error(const std::exception& error) {
  if (const auto* told = dynamic_cast<const RequestError*>(&error)) return *told;
  if (const auto* known = dynamic_cast<const Error*>(&error)) {
    if (known->code() == ErrorCode::usage) return {Refusal::invalid_option, "", known->what(), known->where()};
    if (known->code() == ErrorCode::unsupported) return {Refusal::unsupported, "", known->what(), known->where()};
  }
  return {Refusal::internal, "", "the server failed; its log says more"};
}

nlohmann::ordered_json error_json(const RequestError& error, const std::string& request_id) {
  nlohmann::ordered_json body{{"code", name_of(error.refusal())}, {"message", error.what()}};
  if (!error.param().empty()) body["param"] = error.param();
  body["request_id"] = request_id;
  return {{"error", std::move(body)}};
}

HttpResponse error_response(const RequestError& error, const std::string& request_id) {
  HttpResponse response{.status = status_of(error.refusal()), .body = dump(error_json(error, request_id))};
  if (error.refusal() == Refusal::unauthorized) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (error.refusal() == Refusal::queue_full || error.refusal() == Refusal::draining ||
      error.refusal() == Refusal::busy)
    response.headers.emplace_back("Retry-After", "1");
  return response;
}

std::string dump(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace capdiff
