#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "capdiff/serving/http.h"

namespace capdiff {

/// Connections beyond those that an HttpServer takes: they may still ask how it is, and hear that it is busy.
inline constexpr std::size_t kSurplusConnections = 16;

struct HttpServerOptions {
  std::string host = "127.0.0.1";     ///< an address, IPv4 or IPv6
  std::uint16_t port = 8080;          ///< 0: any that is free
  std::size_t threads = 2;            ///< that read and write; they do not compute
  std::size_t max_connections = 256;  ///< one that waits for its client gives way to a new one
  std::size_t max_header_bytes = std::size_t{16} << 10;
  std::size_t max_body_bytes = std::size_t{20} << 20;
  /// Of bodies that come in chunks, whose size is not known before: memory is given on trust only so far.
  std::size_t max_chunked_bytes = std::size_t{8} << 20;
  std::size_t max_bodies_bytes = std::size_t{512} << 20;  ///< of all requests that are read or wait, together
  /// For a request's header, and for every write. In so much time a body must bring `body_bytes_per_second` times it.
  std::chrono::seconds timeout{30};
  std::size_t body_bytes_per_second = std::size_t{16} << 10;
  std::chrono::seconds max_request{300};  ///< from a whole request to the end of its answer
};

/// HTTP/1.1 over TCP. Reads requests within limits, hands them to a handler, and writes what it answers; notices when
/// clients leave.
class HttpServer {
 public:
  /// Binds and listens. Throws `Error(io)` where that is not possible, `Error(usage)` for a host that is no address.
  explicit HttpServer(const HttpServerOptions& options);
  /// All exchanges must be gone by now, or their threads ended.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::uint16_t port() const;
  ServerLoad load() const;
  /// Serves until SIGTERM or SIGINT comes and what was accepted is answered; a second signal ends it at once. Returns
  /// how many requests have then been accepted and not answered. Call it once.
  std::size_t run(HttpHandler& handler);

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace capdiff
