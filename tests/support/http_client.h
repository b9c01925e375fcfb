#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace capdiff::test {

/// What a server's surroundings do to it.
struct ServerSurroundings {
  std::size_t open_files = 0;  ///< its limit of open files; 0 for that of the tests
  bool reads_log = true;       ///< whether its log is read once it serves; `wait` reads the rest
  bool closes_log = false;     ///< whether nobody is left to read it once it serves
};

/// `capdiff serve --port 0` as another process, with threads 1 and deterministic.
class RunningServer {
 public:
  /// Starts it with further arguments, and waits until it serves.
  explicit RunningServer(const std::vector<std::string>& arguments, const ServerSurroundings& surroundings = {});
  ~RunningServer();
  RunningServer(const RunningServer&) = delete;
  RunningServer& operator=(const RunningServer&) = delete;

  std::uint16_t port() const { return port_; }
  void terminate() const;  ///< sends SIGTERM
  int wait();              ///< its exit code, -n where signal n ended it
  /// What it has written to standard error. Complete only after `wait`.
  std::string log();

 private:
  bool read_more();
  void await_start();
  void read_to_the_end();

  pid_t process_ = -1;
  std::atomic<std::uint16_t> port_ = 0;
  int descriptor_ = -1;  ///< of the log
  std::string log_;
  std::thread reader_;
};

struct HttpReply {
  int status = 0;                             ///< 0 where the server closed the connection without an answer
  std::map<std::string, std::string> fields;  ///< names in lower case
  std::string body;                           ///< without chunks
};

/// A connection to a port of this machine.
class HttpClient {
 public:
  explicit HttpClient(std::uint16_t port);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// Whether all of it could be sent.
  bool send(std::string_view bytes) const;
  /// Reads one answer. `to_get` is the method that it answers.
  HttpReply read(std::string_view method = "GET");
  HttpReply exchange(const std::string& request, std::string_view method = "GET");
  /// Reads until `text` has come, or the end.
  bool read_until(std::string_view text);

 private:
  bool fill();

  int socket_ = -1;
  std::string buffer_;
};

/// The text of a request.
std::string http_get(const std::string& target, const std::string& fields = "");
std::string http_post(const std::string& target, const std::string& type, const std::string& body,
                      const std::string& fields = "");
std::string post_json(const std::string& body, const std::string& target = "/v1/captions");
/// A form with a picture and further fields of text.
std::string post_form(const std::string& picture, const std::vector<std::pair<std::string, std::string>>& fields = {});

std::string base64(std::string_view bytes);

}  // namespace capdiff::test
