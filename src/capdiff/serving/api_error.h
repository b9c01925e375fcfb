#pragma once

#include <fmt/format.h>

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "capdiff/base/error.h"
#include "capdiff/serving/http.h"

namespace capdiff {

/// Why a request is not answered as asked: the `code` of an error body.
enum class Refusal {
  bad_request,
  invalid_json,
  invalid_option,
  invalid_image,
  url_not_allowed,
  unauthorized,
  forbidden,
  not_found,
  method_not_allowed,
  timeout,
  too_large,
  unsupported_media_type,
  unsupported,
  queue_full,
  headers_too_large,
  internal,
  draining,
  busy,
};

int status_of(Refusal refusal);
std::string_view name_of(Refusal refusal);

/// An error that a client is told. `param` is the option or field concerned; it may be empty.
class RequestError : public Error {
 public:
  RequestError(Refusal refusal, std::string param, const std::string& message,
               std::source_location where = std::source_location::current())
      : Error(ErrorCode::invalid_input, message, where), refusal_(refusal), param_(std::move(param)) {}

  Refusal refusal() const { return refusal_; }
  const std::string& param() const { return param_; }

 private:
  Refusal refusal_;
  std::string param_;
};

/// Throws a RequestError with an fmt-formatted message.
template <class... Args>
[[noreturn]] void refuse(Refusal refusal, std::string param, FormatAt<std::type_identity_t<Args>...> message,
                         Args&&... args) {
  throw RequestError(refusal, std::move(param), fmt::format(message.format, std::forward<Args>(args)...),
                     message.where);
}

/// What a client is told of any exception: of a mistake of ours only that there was one.
RequestError as_request_error(const std::exception& error);

/// {"error": {"code", "message", "param", "request_id"}}
nlohmann::ordered_json error_json(const RequestError& error, const std::string& request_id);
HttpResponse error_response(const RequestError& error, const std::string& request_id);
/// JSON as text in which what is not UTF-8 is replaced.
std::string dump(const nlohmann::ordered_json& json);

}  // namespace capdiff
