#pragma once

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "capdiff/serving/api_error.h"
#include "capdiff/serving/connection.h"
#include "capdiff/serving/http.h"
#include "capdiff/serving/http_server.h"
#include "capdiff/serving/metered_body.h"
#include "capdiff/serving/request_ids.h"

namespace capdiff {

/// The token that makes an operation of Asio something to co_await whose error is told, not thrown.
inline auto awaited(boost::system::error_code& error) {
  return boost::asio::redirect_error(boost::asio::use_awaitable, error);
}

/// One request and its answer on a connection.
struct Exchange {
  std::shared_ptr<Connection> connection;
  HttpRequest request;
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();  ///< when its first byte came
  bool head_only = false;
  unsigned version = 11;
  bool keep_alive = false;  ///< whether another request may follow
  HttpRecord record = {};
};

/// Reads requests from connections, within limits of size and time.
class RequestReader {
 public:
  using Parser = boost::beast::http::request_parser<MeteredBody>;
  using Task = boost::asio::awaitable<void>;

  static constexpr const char* kNoPlace = "the server has as many connections as it takes";
  /// For connections that should be gone already.
  static constexpr std::chrono::seconds kShortTime{2};

  RequestReader(const HttpServerOptions& options, WaitingConnections& waiting)
      : options_(options), waiting_(waiting), bodies_(options.max_bodies_bytes) {}

  /// Reads the header, and tells the exchange what stands in it.
  Task read_head(Exchange& exchange, Parser& parser, boost::system::error_code& error);
  Task read_body(Exchange& exchange, Parser& parser, boost::system::error_code& error);
  /// What is wrong with a header that could be read.
  static std::optional<RequestError> objection(const Parser& parser);
  /// What a client is told of an error of reading; nothing where it has left, or has not asked yet.
  std::optional<RequestError> error_of(const Connection& connection, const Parser& parser,
                                       boost::system::error_code error) const;
  /// Memory of bodies that are read, or that a handler still has.
  const Allowance& bodies() const { return bodies_; }
  RequestIds& ids() { return ids_; }

 private:
  static std::string text_of(boost::beast::string_view text) { return {text.data(), text.size()}; }
  static std::string path_of(std::string target, std::string& host);

  std::size_t max_chunked_bytes() const { return std::min(options_.max_body_bytes, options_.max_chunked_bytes); }

  const HttpServerOptions& options_;
  WaitingConnections& waiting_;
  Allowance bodies_;
  RequestIds ids_;
};

/// The target without the host that it names in absolute form; that one, and not the field, then says whom it asks.
inline std::string RequestReader::path_of(std::string target, std::string& host) {
  for (const char* scheme : {"http://", "https://"}) {
    const std::size_t begin = std::string_view(scheme).size();
    if (!boost::beast::iequals(target.substr(0, begin), scheme)) continue;
    const std::size_t end = std::min(target.find_first_of("/?", begin), target.size());
    host = target.substr(begin, end - begin);
    target.erase(0, end);
    return target.starts_with('/') ? target : "/" + target;
  }
  return target;
}

inline RequestReader::Task RequestReader::read_head(Exchange& exchange, Parser& parser,
                                                    boost::system::error_code& error) {
  using boost::beast::http::field;
  Connection& connection = *exchange.connection;
  parser.header_limit(static_cast<std::uint32_t>(options_.max_header_bytes));
  parser.body_limit(options_.max_body_bytes);
  connection.stream.expires_never();
  const std::chrono::seconds time = connection.surplus ? kShortTime : options_.timeout;
  if (connection.buffer.size() == 0) {
    waiting_.begin(exchange.connection, WaitingConnections::Clock::now() + time);
    co_await connection.stream.socket().async_wait(boost::asio::ip::tcp::socket::wait_read, awaited(error));
    waiting_.end(connection, error);
    if (error) co_return;
  }
  exchange.start = WaitingConnections::Clock::now();
  waiting_.begin(exchange.connection, exchange.start + time);
  co_await boost::beast::http::async_read_header(connection.stream, connection.buffer, parser, awaited(error));
  waiting_.end(connection, error);
  const auto& head = parser.get();
  exchange.version = head.version() == 10 ? 10 : 11;
  exchange.head_only = head.method() == boost::beast::http::verb::head;
  HttpRequest& request = exchange.request;
  request.id = ids_.next();
  request.method = exchange.head_only ? "GET" : text_of(head.method_string());
  request.host = text_of(head[field::host]);
  request.target = path_of(text_of(head.target()), request.host);
  exchange.record = {.id = request.id, .method = text_of(head.method_string()), .target = request.target};
  request.target.resize(std::min(request.target.find('?'), request.target.size()));
  request.origin = text_of(head[field::origin]);
  request.content_type = text_of(head[field::content_type]);
  request.authorization = text_of(head[field::authorization]);
}

/// What HTTP forbids and Beast lets pass: read differently by a proxy, it could hide a request in another's body.
inline std::optional<RequestError> RequestReader::objection(const Parser& parser) {
  using boost::beast::http::field;
  const auto& head = parser.get();
  const std::size_t hosts = head.count(field::host), encodings = head.count(field::transfer_encoding);
  if (hosts > 1 || (hosts == 0 && head.version() > 10))
    return RequestError(Refusal::bad_request, "", "expected one field Host");
  const bool chunks = encodings == 1 && boost::beast::iequals(head[field::transfer_encoding], "chunked");
  if (encodings > 0 && (!chunks || head.version() == 10))
    return RequestError(Refusal::bad_request, "", "Transfer-Encoding: expected \"chunked\", in HTTP/1.1");
  return std::nullopt;
}

inline RequestReader::Task RequestReader::read_body(Exchange& exchange, Parser& parser,
                                                    boost::system::error_code& error) {
  using WaitingClock = WaitingConnections::Clock;
  Connection& connection = *exchange.connection;
  MeteredBody::value_type& body = parser.get().body();
  body.allowance = &bodies_;
  if (parser.chunked()) {
    parser.body_limit(max_chunked_bytes());
    if (!body.reserve(max_chunked_bytes())) error = MeteredBody::no_memory();
  }
  if (!error && exchange.version == 11 &&
      boost::beast::iequals(parser.get()[boost::beast::http::field::expect], "100-continue")) {
    constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    co_await boost::asio::async_write(connection.stream, boost::asio::buffer(go_on.data(), go_on.size()),
                                      awaited(error));
  }
  // What came fast earns no time for what does not come: each span must bring its share.
  const std::size_t share = options_.body_bytes_per_second * static_cast<std::size_t>(options_.timeout.count());
  auto deadline = WaitingClock::now() + options_.timeout;
  for (std::size_t received = 0, due = share; !error && !parser.is_done();) {
    waiting_.begin(exchange.connection, deadline);
    received +=
        co_await boost::beast::http::async_read_some(connection.stream, connection.buffer, parser, awaited(error));
    waiting_.end(connection, error);
    if (received < due) continue;
    due = received + share;
    deadline = WaitingClock::now() + options_.timeout;
  }
}

inline std::optional<RequestError> RequestReader::error_of(const Connection& connection, const Parser& parser,
                                                           boost::system::error_code error) const {
  namespace http = boost::beast::http;
  if (error == http::error::header_limit || (error == http::error::buffer_overflow && !parser.is_header_done()))
    return RequestError(Refusal::headers_too_large, "",
                        fmt::format("the header has more than {} bytes", options_.max_header_bytes));
  if (error == http::error::body_limit)
    return RequestError(Refusal::too_large, "",
                        parser.chunked()
                            ? fmt::format("a body without Content-Length may have {} bytes", max_chunked_bytes())
                            : fmt::format("the body has more than {} bytes", options_.max_body_bytes));
  if (error == MeteredBody::no_memory())
    return RequestError(Refusal::busy, "", "the server holds as many bytes of requests as it takes");
  const bool late = error == boost::beast::error::timeout;
  if (parser.got_some() && (connection.gave_way || (connection.surplus && late)))
    return RequestError(Refusal::busy, "", kNoPlace);
  if (parser.got_some() && late)
    return RequestError(Refusal::timeout, "",
                        fmt::format("the request did not come within {} s", options_.timeout.count()));
  if (error.category() == http::make_error_code(http::error::end_of_stream).category() &&
      error != http::error::end_of_stream && error != http::error::partial_message)
    return RequestError(Refusal::bad_request, "", fmt::format("not a valid HTTP request: {}", error.message()));
  return std::nullopt;
}

}  // namespace capdiff
