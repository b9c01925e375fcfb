#include "capdiff/serving/http_server.h"

#include <poll.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <utility>

// Boost 1.74's coroutines need <utility> before them.
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
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
#include "capdiff/serving/connection.h"
#include "capdiff/serving/metered_body.h"
#include "capdiff/serving/request_reader.h"

namespace capdiff {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using tcp = asio::ip::tcp;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxDiscarded = std::size_t{1} << 30;  ///< of a refused body, so that its client reads the answer
constexpr std::chrono::milliseconds kAcceptAgain{100}, kLookAgain{100};
constexpr int kClientLeft = 499;

/// What a stream is told that ends before it is complete.
RequestError error_of(Cut cut, std::chrono::seconds max_request) {
  if (cut == Cut::behind) return {Refusal::timeout, "", "the client reads more slowly than the stream comes"};
  return {Refusal::busy, "", fmt::format("there was no answer within {} s", max_request.count())};
}

}  // namespace

class HttpServer::Implementation {
 public:
  explicit Implementation(const HttpServerOptions& options);

  std::size_t run(HttpHandler& handler);
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  ServerLoad load() const {
    return {.connections = places_.taken() + surplus_.taken(),
            .body_bytes = reader_.bodies().taken(),
            .out_of_memory = reader_.bodies().taken() + MeteredBody::kPiece > options_.max_bodies_bytes};
  }

 private:
  using Parser = RequestReader::Parser;
  using Task = asio::awaitable<void>;

  Task accept();
  Task accept_one();
  void welcome(tcp::socket socket);
  Task serve(std::shared_ptr<Connection> connection);
  /// Reads and answers one request; leaves `keep_alive` set where another may follow.
  Task serve_one(Exchange& exchange);
  std::optional<HttpResponse> refusal(Exchange& exchange, const Parser& parser, bool empty);
  Task refuse_broken(Exchange& exchange, const Parser& parser, error_code error);
  Task answer(Exchange& exchange);
  Task wait_for(Answer& answer, Clock::time_point until);
  Task write(Exchange& exchange, HttpResponse response);
  Task write_stream(Exchange& exchange, Answer& answer, Clock::time_point until);
  Task write_part(Exchange& exchange, std::string bytes, error_code& error);
  Task discard_rest(const std::shared_ptr<Connection>& connection);
  void finish(Exchange& exchange);
  void watch_for_leaving(const std::shared_ptr<Connection>& connection, const std::shared_ptr<Answer>& answer);
  static void stop_watching(Connection& connection, Answer& answer);
  void turn_away(tcp::socket& socket);
  void await_signal();
  void stop_when_drained();
  template <class Body>
  void set_fields(http::response<Body>& response, const Exchange& exchange, const HttpResponse& from) const;

  const HttpServerOptions options_;
  Allowance places_, surplus_;
  WaitingConnections waiting_;
  RequestReader reader_;
  HttpHandler* handler_ = nullptr;
  std::atomic<bool> draining_{false};
  std::atomic<std::size_t> busy_{0};  ///< requests whose header is there and that are not answered
  // After what the coroutines use that end with it.
  asio::io_context context_;
  tcp::acceptor acceptor_;
  asio::signal_set signals_;
};

HttpServer::Implementation::Implementation(const HttpServerOptions& options)
    : options_(options),
      places_(options.max_connections),
      surplus_(kSurplusConnections),
      reader_(options_, waiting_),
      acceptor_(context_),
      signals_(context_) {
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
    try {
      co_await accept_one();
    } catch (const std::exception& error) {
      spdlog::error("a connection was lost: {}", error.what());
    }
  }
}

HttpServer::Implementation::Task HttpServer::Implementation::accept_one() {
  tcp::socket socket(asio::make_strand(context_));
  error_code error;
  co_await acceptor_.async_accept(socket, awaited(error));
  if (!error) co_return welcome(std::move(socket));
  // Most likely all file descriptors are in use.
  waiting_.take_place();
  asio::steady_timer pause(context_, kAcceptAgain);
  co_await pause.async_wait(awaited(error));
}

void HttpServer::Implementation::welcome(tcp::socket socket) {
  const auto executor = socket.get_executor();
  auto connection = std::make_shared<Connection>(std::move(socket));
  connection->place = places_.take(1);
  if (!connection->place) connection->place = waiting_.take_place();
  if (!connection->place) {
    connection->place = surplus_.take(1);
    connection->surplus = true;
  }
  if (!connection->place) return turn_away(connection->stream.socket());
  asio::co_spawn(executor, serve(std::move(connection)), [](const std::exception_ptr& thrown) {
    try {
      if (thrown) std::rethrow_exception(thrown);
    } catch (const std::exception& error) {
      spdlog::error("a connection was lost: {}", error.what());
    }
  });
}

void HttpServer::Implementation::turn_away(tcp::socket& socket) {
  const HttpRecord record{.id = reader_.ids().next(), .method = {}, .target = {}, .status = status_of(Refusal::busy)};
  const std::string body = error_response({Refusal::busy, "", RequestReader::kNoPlace}, record.id).body;
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.send(asio::buffer(fmt::format("HTTP/1.1 503 Service Unavailable\r\nX-Request-Id: {}\r\n"
                                       "Content-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\n"
                                       "Content-Length: {}\r\n\r\n{}",
                                       record.id, body.size(), body)),
              0, ignored);
  handler_->finished(record);
}

HttpServer::Implementation::Task HttpServer::Implementation::serve(std::shared_ptr<Connection> connection) {
  for (bool keep_alive = true; keep_alive;) {
    Exchange exchange{.connection = connection, .request = {}};
    co_await serve_one(exchange);
    keep_alive = exchange.keep_alive && !connection->gave_way;
  }
  // One that gave way is to be gone soon.
  if (!connection->gave_way) co_await discard_rest(connection);
}

std::optional<HttpResponse> HttpServer::Implementation::refusal(Exchange& exchange, const Parser& parser, bool empty) {
  const HttpRequest& request = exchange.request;
  if (const auto objection = RequestReader::objection(parser)) return error_response(*objection, request.id);
  if (exchange.connection->surplus && (request.method != "GET" || !empty))
    return error_response({Refusal::busy, "", RequestReader::kNoPlace}, request.id);
  exchange.keep_alive = empty && parser.keep_alive() && !exchange.connection->surplus;
  return handler_->refusal(request);
}

HttpServer::Implementation::Task HttpServer::Implementation::serve_one(Exchange& exchange) {
  Parser parser;
  error_code error;
  co_await reader_.read_head(exchange, parser, error);
  if (error) co_return co_await refuse_broken(exchange, parser, error);

  // Before it is accepted: a signal from here on waits for its answer.
  ++busy_;
  const std::shared_ptr<void> until_answered(nullptr, [this](void*) {
    --busy_;
    stop_when_drained();
  });
  const bool empty = parser.is_done() || (!parser.chunked() && parser.content_length().value_or(0) == 0);
  if (auto refused = refusal(exchange, parser, empty)) co_return co_await write(exchange, std::move(*refused));

  co_await reader_.read_body(exchange, parser, error);
  if (error) co_return co_await refuse_broken(exchange, parser, error);
  exchange.keep_alive = parser.keep_alive() && !draining_ && !exchange.connection->surplus;
  {
    // The body holds the tickets for its memory.
    auto held = std::make_shared<MeteredBody::value_type>(std::move(parser.get().body()));
    exchange.request.body = std::shared_ptr<const std::string>(held, &held->bytes);
  }
  co_await answer(exchange);
}

HttpServer::Implementation::Task HttpServer::Implementation::refuse_broken(Exchange& exchange, const Parser& parser,
                                                                           error_code error) {
  exchange.keep_alive = false;
  if (const auto told = reader_.error_of(*exchange.connection, parser, error))
    co_return co_await write(exchange, error_response(*told, exchange.request.id));
  // Left before the request was there: worth a line only where something had come.
  if (!parser.got_some()) co_return;
  exchange.record.status = kClientLeft;
  finish(exchange);
}

void HttpServer::Implementation::finish(Exchange& exchange) {
  exchange.record.seconds = std::chrono::duration<double>(Clock::now() - exchange.start).count();
  handler_->finished(exchange.record);
}

void HttpServer::Implementation::watch_for_leaving(const std::shared_ptr<Connection>& connection,
                                                   const std::shared_ptr<Answer>& answer) {
  connection->stream.socket().async_wait(tcp::socket::wait_read, [this, connection, answer](const error_code& error) {
    if (error || answer->complete) return;
    pollfd looked{connection->stream.socket().native_handle(), POLLRDHUP, 0};
    if (::poll(&looked, 1, 0) > 0) return answer->abandon(Cut::left);
    // Bytes are the next request, and can wait; but who sent them may leave yet.
    answer->look_again.expires_after(kLookAgain);
    answer->look_again.async_wait([this, connection, answer](const error_code& stopped) {
      if (!stopped) watch_for_leaving(connection, answer);
    });
  });
}

void HttpServer::Implementation::stop_watching(Connection& connection, Answer& answer) {
  connection.stream.socket().cancel();
  answer.look_again.cancel();
}

HttpServer::Implementation::Task HttpServer::Implementation::wait_for(Answer& answer, Clock::time_point until) {
  error_code woken;
  answer.changed.expires_at(until);
  co_await answer.changed.async_wait(awaited(woken));
  if (!woken) answer.abandon(Cut::late);
}

HttpServer::Implementation::Task HttpServer::Implementation::answer(Exchange& exchange) {
  const auto until = Clock::now() + options_.max_request;
  const auto answer = std::make_shared<Answer>(exchange.connection->stream.get_executor());
  exchange.connection->stream.expires_never();
  watch_for_leaving(exchange.connection, answer);
  handler_->handle(std::move(exchange.request), std::make_shared<BeastExchange>(answer));
  while (!answer->whole && !answer->head && !answer->complete && !answer->abandoned) co_await wait_for(*answer, until);

  if (!answer->whole && answer->head && !answer->abandoned) {
    co_await write_stream(exchange, *answer, until);
    co_return stop_watching(*exchange.connection, *answer);
  }
  stop_watching(*exchange.connection, *answer);
  if (answer->whole) co_return co_await write(exchange, std::move(*answer->whole));
  if (answer->cut == Cut::left) {
    exchange.keep_alive = false;
    exchange.record.status = kClientLeft;
    co_return finish(exchange);
  }
  const RequestError error = answer->complete
                                 ? RequestError(Refusal::internal, "", "the server failed; its log says more")
                                 : error_of(answer->cut, options_.max_request);
  co_await write(exchange, error_response(error, exchange.record.id));
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
  stream.expires_after(exchange.connection->gave_way ? RequestReader::kShortTime : options_.timeout);
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
  finish(exchange);
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
    if (answer.unsent.empty() || Clock::now() >= until) {
      co_await wait_for(answer, until);
      continue;
    }
    const std::string bytes = std::move(answer.unsent.front());
    answer.unsent.pop_front();
    answer.unsent_bytes -= bytes.size();
    co_await write_part(exchange, bytes, error);
  }
  if (!error && (answer.cut == Cut::late || answer.cut == Cut::behind)) {
    const RequestError told = error_of(answer.cut, options_.max_request);
    exchange.record.status = status_of(told.refusal());
    co_await write_part(exchange, answer.error(told, exchange.record.id), error);
  } else if (error || answer.abandoned) {
    answer.abandon(Cut::left);
    exchange.record.status = kClientLeft;
    exchange.keep_alive = false;
  }
  if (!error && answer.cut != Cut::left && chunked)
    co_await asio::async_write(stream, http::make_chunk_last(), awaited(error));
  if (error) exchange.keep_alive = false;
  finish(exchange);
}

HttpServer::Implementation::Task HttpServer::Implementation::write_part(Exchange& exchange, std::string bytes,
                                                                        error_code& error) {
  beast::tcp_stream& stream = exchange.connection->stream;
  exchange.record.bytes += bytes.size();
  stream.expires_after(options_.timeout);
  if (exchange.version == 11)
    co_await asio::async_write(stream, http::make_chunk(asio::buffer(bytes)), awaited(error));
  else
    co_await asio::async_write(stream, asio::buffer(bytes), awaited(error));
}

HttpServer::Implementation::Task HttpServer::Implementation::discard_rest(
    const std::shared_ptr<Connection>& connection) {
  // Closed with bytes unread, a connection is reset, and the client may never see the answer.
  error_code error;
  connection->stream.socket().shutdown(tcp::socket::shutdown_send, error);
  connection->stream.expires_never();
  connection->buffer.clear();
  waiting_.begin(connection, Clock::now() + RequestReader::kShortTime);
  for (std::size_t discarded = 0; !error && discarded < kMaxDiscarded;)
    discarded += co_await connection->stream.async_read_some(connection->buffer.prepare(Connection::kReadBuffer),
                                                             awaited(error));
  waiting_.end(*connection, error);
}

HttpServer::HttpServer(const HttpServerOptions& options) : implementation_(std::make_unique<Implementation>(options)) {}

HttpServer::~HttpServer() = default;

std::uint16_t HttpServer::port() const {
  return implementation_->port();
}

ServerLoad HttpServer::load() const {
  return implementation_->load();
}

std::size_t HttpServer::run(HttpHandler& handler) {
  return implementation_->run(handler);
}

}  // namespace capdiff
