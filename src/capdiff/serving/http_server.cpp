#include "capdiff/serving/http_server.h"

#include <sys/socket.h>

#include <atomic>
#include <utility>

// Boost 1.74's coroutines need <utility> before them.
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <csignal>
#include <thread>
#include <vector>

#include "capdiff/base/error.h"
#include "capdiff/serving/allowance.h"
#include "capdiff/serving/api_error.h"
#include "capdiff/serving/beast_exchange.h"
#include "capdiff/serving/request_ids.h"

namespace capdiff {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using tcp = asio::ip::tcp;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kReadBuffer = std::size_t{64} << 10;
constexpr std::size_t kMaxDiscarded = std::size_t{1} << 30;  ///< of a refused body, so that its client reads the answer
constexpr std::chrono::seconds kLinger{2};
constexpr std::chrono::milliseconds kAcceptAgain{100};
constexpr int kClientLeft = 499;

/// The token that makes an operation of Asio something to co_await whose error is told, not thrown.
auto awaited(error_code& error) {
  return asio::redirect_error(asio::use_awaitable, error);
}

/// An open connection. All its work is done on its strand.
struct Connection {
  explicit Connection(tcp::socket socket)
      : stream(std::move(socket)), buffer(kReadBuffer), deadline(stream.get_executor()) {}

  beast::tcp_stream stream;
  beast::flat_buffer buffer;
  asio::steady_timer deadline;  ///< of reading; one of the stream's own would close it, and leave no way to say so
  bool late = false;            ///< the deadline has passed
  Allowance::Ticket place;
};

/// Ends what is being read at that time.
void limit_reading(const std::shared_ptr<Connection>& connection, Clock::time_point deadline) {
  connection->late = false;
  connection->deadline.expires_at(deadline);
  connection->deadline.async_wait([connection](const error_code& error) {
    if (error || connection->deadline.expiry() > Clock::now()) return;
    connection->late = true;
    connection->stream.socket().cancel();
  });
}

/// Lifts the deadline, and makes an error of it that has come from it.
void end_reading(Connection& connection, error_code& error) {
  connection.deadline.expires_at(Clock::time_point::max());
  if (error == asio::error::operation_aborted && connection.late) error = beast::error::timeout;
}

std::string text_of(beast::string_view text) {
  return {text.data(), text.size()};
}

}  // namespace

class HttpServer::Implementation {
 public:
  explicit Implementation(const HttpServerOptions& options);

  std::size_t run(HttpHandler& handler);
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  std::size_t connections() const { return places_.taken(); }

 private:
  using Parser = http::request_parser<http::string_body>;
  using Task = asio::awaitable<void>;

  /// One request and its answer on a connection.
  struct Exchange {
    std::shared_ptr<Connection> connection;
    HttpRequest request;
    std::chrono::steady_clock::time_point start = Clock::now();
    bool head_only = false;
    unsigned version = 11;
    bool keep_alive = false;  ///< whether another request may follow
    HttpRecord record = {};
  };

  Task accept();
  Task serve(std::shared_ptr<Connection> connection);
  /// Reads and answers one request; leaves `keep_alive` set where another may follow.
  Task serve_one(Exchange& exchange);
  Task read_head(Exchange& exchange, Parser& parser, error_code& error);
  Task read_body(Exchange& exchange, Parser& parser, error_code& error);
  Task refuse_broken(Exchange& exchange, const Parser& parser, error_code error);
  Task answer(Exchange& exchange);
  Task wait_for(Answer& answer, Clock::time_point until);
  Task write(Exchange& exchange, HttpResponse response);
  Task write_stream(Exchange& exchange, Answer& answer, Clock::time_point until);
  Task discard_rest(Connection& connection);
  void watch_for_leaving(const std::shared_ptr<Connection>& connection, const std::shared_ptr<Answer>& answer);
  void turn_away(tcp::socket& socket);
  void await_signal();
  void stop_when_drained();
  template <class Body>
  void set_fields(http::response<Body>& response, const Exchange& exchange, const HttpResponse& from) const;

  const HttpServerOptions options_;
  asio::io_context context_;
  tcp::acceptor acceptor_;
  asio::signal_set signals_;
  Allowance places_, bodies_;
  RequestIds ids_;
  HttpHandler* handler_ = nullptr;
  std::atomic<bool> draining_{false};
  std::atomic<std::size_t> busy_{0};  ///< requests whose header was accepted and that are not answered
};

HttpServer::Implementation::Implementation(const HttpServerOptions& options)
    : options_(options),
      acceptor_(context_),
      signals_(context_),
      places_(options.max_connections),
      bodies_(options.max_bodies_bytes) {
  error_code error;
  const asio::ip::address address = asio::ip::make_address(options.host, error);
  if (error) fail(ErrorCode::usage, "--host {}: not an IP address", options.host);
  const tcp::endpoint endpoint(address, options.port);
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error) fail(ErrorCode::io, "{} port {}: {}", options.host, options.port, error.message());
}

std::size_t HttpServer::Implementation::run(HttpHandler& handler) {
  handler_ = &handler;
  signals_.add(SIGTERM);
  signals_.add(SIGINT);
  await_signal();
  asio::co_spawn(context_, accept(), asio::detached);
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < options_.threads; ++i) threads.emplace_back([this] { context_.run(); });
  context_.run();
  for (std::thread& thread : threads) thread.join();
  error_code ignored;
  signals_.clear(ignored);  // a further signal ends the program while its threads finish
  return busy_;
}

void HttpServer::Implementation::await_signal() {
  signals_.async_wait([this](const error_code& error, int) {
    if (error) return;
    if (draining_.exchange(true)) return context_.stop();
    handler_->drain(busy_);
    stop_when_drained();
    await_signal();
  });
}

void HttpServer::Implementation::stop_when_drained() {
  if (draining_ && busy_ == 0) context_.stop();
}

HttpServer::Implementation::Task HttpServer::Implementation::accept() {
  for (;;) {
    tcp::socket socket(asio::make_strand(context_));
    error_code error;
    co_await acceptor_.async_accept(socket, awaited(error));
    if (error) {
      // Most likely all file descriptors are in use: one may be free soon.
      asio::steady_timer pause(context_, kAcceptAgain);
      co_await pause.async_wait(awaited(error));
      continue;
    }
    Allowance::Ticket place = places_.take(1);
    if (!place) {
      turn_away(socket);
      continue;
    }
    const auto executor = socket.get_executor();
    auto connection = std::make_shared<Connection>(std::move(socket));
    connection->place = std::move(place);
    asio::co_spawn(executor, serve(std::move(connection)), asio::detached);
  }
}

void HttpServer::Implementation::turn_away(tcp::socket& socket) {
  const RequestError error(Refusal::busy, "", "the server has as many connections as it takes");
  const std::string body = error_response(error, ids_.next()).body;
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.send(asio::buffer(fmt::format("HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
                                       "Retry-After: 1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{}",
                                       body.size(), body)),
              0, ignored);
}

HttpServer::Implementation::Task HttpServer::Implementation::serve(std::shared_ptr<Connection> connection) {
  for (bool keep_alive = true; keep_alive;) {
    Exchange exchange{.connection = connection, .request = {}};
    co_await serve_one(exchange);
    keep_alive = exchange.keep_alive;
  }
  co_await discard_rest(*connection);
}

HttpServer::Implementation::Task HttpServer::Implementation::read_head(Exchange& exchange, Parser& parser,
                                                                       error_code& error) {
  Connection& connection = *exchange.connection;
  parser.header_limit(static_cast<std::uint32_t>(options_.max_header_bytes));
  parser.body_limit(options_.max_body_bytes);
  connection.stream.expires_never();
  limit_reading(exchange.connection, Clock::now() + options_.timeout);
  co_await http::async_read_header(connection.stream, connection.buffer, parser, awaited(error));
  end_reading(connection, error);
  exchange.start = Clock::now();
  const auto& head = parser.get();
  exchange.version = head.version() == 10 ? 10 : 11;
  exchange.head_only = head.method() == http::verb::head;
  HttpRequest& request = exchange.request;
  request.id = ids_.next();
  request.method = exchange.head_only ? "GET" : text_of(head.method_string());
  request.target = text_of(head.target());
  request.target.resize(std::min(request.target.find('?'), request.target.size()));
  request.content_type = text_of(head[http::field::content_type]);
  request.authorization = text_of(head[http::field::authorization]);
  exchange.record = {.id = request.id, .method = text_of(head.method_string()), .target = text_of(head.target())};
}

HttpServer::Implementation::Task HttpServer::Implementation::read_body(Exchange& exchange, Parser& parser,
                                                                       error_code& error) {
  Connection& connection = *exchange.connection;
  if (beast::iequals(parser.get()[http::field::expect], "100-continue")) {
    constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    co_await asio::async_write(connection.stream, asio::buffer(go_on.data(), go_on.size()), awaited(error));
  }
  const auto begin = Clock::now();
  std::size_t received = 0;
  while (!error && !parser.is_done()) {
    const auto earned = std::chrono::seconds(received / options_.body_bytes_per_second);
    limit_reading(exchange.connection, begin + options_.timeout + earned);
    received += co_await http::async_read_some(connection.stream, connection.buffer, parser, awaited(error));
  }
  end_reading(connection, error);
}

HttpServer::Implementation::Task HttpServer::Implementation::serve_one(Exchange& exchange) {
  Parser parser;
  error_code error;
  co_await read_head(exchange, parser, error);
  if (error) co_return co_await refuse_broken(exchange, parser, error);

  const bool empty = parser.is_done() || (!parser.chunked() && parser.content_length().value_or(0) == 0);
  if (auto refused = handler_->refusal(exchange.request)) {
    exchange.keep_alive = empty && parser.keep_alive();
    co_return co_await write(exchange, std::move(*refused));
  }
  const std::size_t size = parser.chunked() ? std::min(options_.max_body_bytes, options_.max_chunked_bytes)
                                            : static_cast<std::size_t>(parser.content_length().value_or(0));
  if (parser.chunked()) {
    parser.body_limit(size);
    parser.get().body().reserve(size);  // grown bit by bit, it would be in memory twice at times
  }
  const Allowance::Ticket memory = bodies_.take(size);
  if (!memory) {
    const RequestError full(Refusal::busy, "", "the server holds as many bytes of requests as it takes");
    co_return co_await write(exchange, error_response(full, exchange.request.id));
  }

  ++busy_;
  const std::shared_ptr<void> until_answered(nullptr, [this](void*) {
    --busy_;
    stop_when_drained();
  });
  co_await read_body(exchange, parser, error);
  if (error) {
    co_await refuse_broken(exchange, parser, error);
  } else {
    exchange.keep_alive = parser.keep_alive() && !draining_;
    // The body holds the ticket for its memory.
    auto body = std::make_shared<std::pair<std::string, Allowance::Ticket>>(std::move(parser.get().body()), memory);
    exchange.request.body = std::shared_ptr<const std::string>(body, &body->first);
    body.reset();
    co_await answer(exchange);
  }
}

HttpServer::Implementation::Task HttpServer::Implementation::refuse_broken(Exchange& exchange, const Parser& parser,
                                                                           error_code error) {
  std::optional<RequestError> told;
  if (error == http::error::header_limit || (error == http::error::buffer_overflow && !parser.is_header_done())) {
    told.emplace(Refusal::headers_too_large, "",
                 fmt::format("the header has more than {} bytes", options_.max_header_bytes));
  } else if (error == http::error::body_limit) {
    told.emplace(Refusal::too_large, "",
                 parser.chunked() ? fmt::format("a body without Content-Length may have {} bytes",
                                                std::min(options_.max_body_bytes, options_.max_chunked_bytes))
                                  : fmt::format("the body has more than {} bytes", options_.max_body_bytes));
  } else if (error == beast::error::timeout) {
    if (parser.got_some())
      told.emplace(Refusal::timeout, "", fmt::format("the request did not come within {} s", options_.timeout.count()));
  } else if (error.category() == http::make_error_code(http::error::end_of_stream).category() &&
             error != http::error::end_of_stream && error != http::error::partial_message) {
    told.emplace(Refusal::bad_request, "", fmt::format("not a valid HTTP request: {}", error.message()));
  }
  exchange.keep_alive = false;
  if (told) co_return co_await write(exchange, error_response(*told, exchange.request.id));
  // Left before the request was there: worth a line only where something had come.
  if (!parser.got_some()) co_return;
  exchange.record.status = kClientLeft;
  exchange.record.seconds = std::chrono::duration<double>(Clock::now() - exchange.start).count();
  handler_->finished(exchange.record);
}

void HttpServer::Implementation::watch_for_leaving(const std::shared_ptr<Connection>& connection,
                                                   const std::shared_ptr<Answer>& answer) {
  connection->stream.socket().async_wait(tcp::socket::wait_read, [connection, answer](const error_code& error) {
    if (error || answer->complete) return;
    // Readable and nothing to read: the client has closed its side. Bytes are the next request, and can wait.
    char byte = 0;
    const ssize_t got = ::recv(connection->stream.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) answer->abandon();
  });
}

HttpServer::Implementation::Task HttpServer::Implementation::wait_for(Answer& answer, Clock::time_point until) {
  error_code woken;
  answer.changed.expires_at(until);
  co_await answer.changed.async_wait(awaited(woken));
  if (!woken) answer.abandoned = true;  // the time is up
}

HttpServer::Implementation::Task HttpServer::Implementation::answer(Exchange& exchange) {
  const auto until = Clock::now() + options_.max_request;
  const auto answer = std::make_shared<Answer>(exchange.connection->stream.get_executor());
  exchange.connection->stream.expires_never();
  watch_for_leaving(exchange.connection, answer);
  handler_->handle(std::move(exchange.request), std::make_shared<BeastExchange>(answer));
  while (!answer->whole && !answer->head && !answer->complete && !answer->abandoned) co_await wait_for(*answer, until);

  if (answer->whole) {
    exchange.connection->stream.socket().cancel();
    co_return co_await write(exchange, std::move(*answer->whole));
  }
  if (answer->head && !answer->abandoned) co_return co_await write_stream(exchange, *answer, until);
  exchange.connection->stream.socket().cancel();
  if (answer->complete || Clock::now() >= until) {
    const RequestError error =
        answer->complete ? RequestError(Refusal::internal, "", "the server failed; its log says more")
                         : RequestError(Refusal::busy, "",
                                        fmt::format("there was no answer within {} s", options_.max_request.count()));
    co_return co_await write(exchange, error_response(error, exchange.record.id));
  }
  exchange.keep_alive = false;
  exchange.record.status = kClientLeft;
  exchange.record.seconds = std::chrono::duration<double>(Clock::now() - exchange.start).count();
  handler_->finished(exchange.record);
}

template <class Body>
void HttpServer::Implementation::set_fields(http::response<Body>& response, const Exchange& exchange,
                                            const HttpResponse& from) const {
  response.version(exchange.version);
  response.result(static_cast<unsigned>(from.status));
  response.set("X-Request-Id", exchange.record.id);
  response.set(http::field::content_type, from.content_type);
  response.set("X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : from.headers) response.set(name, value);
  response.keep_alive(exchange.keep_alive);
}

HttpServer::Implementation::Task HttpServer::Implementation::write(Exchange& exchange, HttpResponse from) {
  beast::tcp_stream& stream = exchange.connection->stream;
  exchange.record.status = from.status;
  error_code error;
  stream.expires_after(options_.timeout);
  if (exchange.head_only) {
    http::response<http::empty_body> response;
    set_fields(response, exchange, from);
    response.content_length(from.body.size());
    http::response_serializer<http::empty_body> serializer(response);
    co_await http::async_write_header(stream, serializer, awaited(error));
  } else {
    http::response<http::string_body> response;
    set_fields(response, exchange, from);
    response.body() = std::move(from.body);
    exchange.record.bytes = response.body().size();
    response.prepare_payload();
    co_await http::async_write(stream, response, awaited(error));
  }
  if (error) exchange.keep_alive = false;
  exchange.record.seconds = std::chrono::duration<double>(Clock::now() - exchange.start).count();
  handler_->finished(exchange.record);
}

HttpServer::Implementation::Task HttpServer::Implementation::write_stream(Exchange& exchange, Answer& answer,
                                                                          Clock::time_point until) {
  beast::tcp_stream& stream = exchange.connection->stream;
  const bool chunked = exchange.version == 11;
  exchange.keep_alive = exchange.keep_alive && chunked;
  exchange.record.status = answer.head->status;
  http::response<http::empty_body> response;
  set_fields(response, exchange, *answer.head);
  response.chunked(chunked);
  http::response_serializer<http::empty_body> serializer(response);
  error_code error;
  stream.expires_after(options_.timeout);
  co_await http::async_write_header(stream, serializer, awaited(error));
  while (!error && !answer.abandoned && (!answer.complete || !answer.unsent.empty())) {
    if (answer.unsent.empty()) {
      co_await wait_for(answer, until);
      continue;
    }
    const std::string bytes = std::move(answer.unsent.front());
    answer.unsent.pop_front();
    answer.unsent_bytes -= bytes.size();
    exchange.record.bytes += bytes.size();
    stream.expires_after(options_.timeout);
    if (chunked)
      co_await asio::async_write(stream, http::make_chunk(asio::buffer(bytes)), awaited(error));
    else
      co_await asio::async_write(stream, asio::buffer(bytes), awaited(error));
  }
  if (error) answer.abandoned = true;
  if (answer.abandoned) {
    exchange.record.status = kClientLeft;
    exchange.keep_alive = false;
  } else if (chunked) {
    co_await asio::async_write(stream, http::make_chunk_last(), awaited(error));
  }
  stream.socket().cancel();
  if (error) exchange.keep_alive = false;
  exchange.record.seconds = std::chrono::duration<double>(Clock::now() - exchange.start).count();
  handler_->finished(exchange.record);
}

HttpServer::Implementation::Task HttpServer::Implementation::discard_rest(Connection& connection) {
  // Closed with bytes unread, a connection is reset, and the client may never see the answer.
  error_code error;
  connection.stream.socket().shutdown(tcp::socket::shutdown_send, error);
  connection.stream.expires_after(kLinger);
  connection.buffer.clear();
  for (std::size_t discarded = 0; !error && discarded < kMaxDiscarded;)
    discarded += co_await connection.stream.async_read_some(connection.buffer.prepare(kReadBuffer), awaited(error));
}

HttpServer::HttpServer(const HttpServerOptions& options) : implementation_(std::make_unique<Implementation>(options)) {}

HttpServer::~HttpServer() = default;

std::uint16_t HttpServer::port() const {
  return implementation_->port();
}

std::size_t HttpServer::connections() const {
  return implementation_->connections();
}

std::size_t HttpServer::run(HttpHandler& handler) {
  return implementation_->run(handler);
}

}  // namespace capdiff
