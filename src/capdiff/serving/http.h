#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace capdiff {

/// A request as the API sees it. Of its header only what the API needs is here.
struct HttpRequest {
  std::string id;      ///< "req-…", ours
  std::string method;  ///< "GET"; HEAD is told as GET
  std::string target;  ///< the path, without a query
  std::string content_type;
  std::string authorization;
  std::string host;                         ///< whom it asks: "name:port"; empty where HTTP/1.0 does not say
  std::string origin;                       ///< of the page that sends it, where a browser says so
  std::shared_ptr<const std::string> body;  ///< what it reserves of the server's memory goes with it
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body = {};
  std::vector<std::pair<std::string, std::string>> headers = {};  ///< further fields
};

/// How a request went, for the log.
struct HttpRecord {
  std::string id, method, target;
  int status = 0;  ///< 499 where the client left before it was answered
  double seconds = 0.0;
  std::size_t bytes = 0;  ///< of the body that was sent
};

/// What of a server is in use.
struct ServerLoad {
  std::size_t connections = 0;  ///< open ones
  std::size_t body_bytes = 0;   ///< of requests that are read or wait
  bool out_of_memory = false;   ///< none is left for a request's body
};

class RequestError;
/// The bytes that tell an error in the midst of a stream.
using StreamError = std::string (*)(const RequestError& error, const std::string& request_id);

/// Where the answer to one request goes, from any thread: either `respond` once, or `begin_stream`, `send` any number
/// of times and `finish`. An exchange that is dropped before its answer has begun becomes an error 500; a
/// stream ends there.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;

  virtual void respond(HttpResponse response) = 0;
  /// Sends the header of a response of unknown length; `head.body` is left out. Where the stream must end before
  /// `finish`, `error` says how that is told.
  virtual void begin_stream(HttpResponse head, StreamError error) = 0;
  virtual void send(std::string bytes) = 0;
  virtual void finish() = 0;
  /// Whether nobody waits for the answer any more: the client has left, or its time was up.
  virtual bool abandoned() const = 0;
};

/// What answers requests. All functions are called from several threads and must not block.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;

  /// A request's header is there, its body is not: an answer here refuses it before the body is read.
  virtual std::optional<HttpResponse> refusal(const HttpRequest& head) = 0;
  virtual void handle(HttpRequest request, std::shared_ptr<HttpExchange> exchange) = 0;
  virtual void finished(const HttpRecord& record) = 0;
  /// From now on requests are to be refused; the `accepted` ones are to be finished.
  virtual void drain(std::size_t accepted) = 0;
};

}  // namespace capdiff
