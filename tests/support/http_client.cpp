#include "tests/support/http_client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace capdiff::test {
namespace {

std::string lower_case(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace

RunningServer::RunningServer(const std::vector<std::string>& arguments, const ServerSurroundings& surroundings) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  std::vector<std::string> all{
      CAPDIFF_BINARY_DIR "/bin/capdiff", "serve", "--port", "0", "--threads", "1", "--deterministic"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& argument : all) argv.push_back(argument.data());
  argv.push_back(nullptr);
  process_ = ::fork();
  if (process_ == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    if (const rlim_t files = surroundings.open_files; files > 0) {
      const rlimit limit{files, files};
      ::setrlimit(RLIMIT_NOFILE, &limit);
    }
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(ends[1]);
  descriptor_ = ends[0];
  await_start();
  if (surroundings.closes_log)
    ::close(std::exchange(descriptor_, -1));
  else if (surroundings.reads_log)
    reader_ = std::thread([this] { read_to_the_end(); });
}

bool RunningServer::read_more() {
  char bytes[4096];
  const ssize_t got = ::read(descriptor_, bytes, sizeof(bytes));
  if (got > 0) log_.append(bytes, static_cast<std::size_t>(got));
  return got > 0;
}

void RunningServer::await_start() {
  const std::string_view mark = "http://127.0.0.1:";
  std::size_t at = std::string::npos;
  while ((at = log_.find(mark)) == std::string::npos || log_.find("/\n", at + mark.size()) == std::string::npos)
    if (!read_more()) throw std::runtime_error("capdiff serve did not start: " + log_);
  port_ = static_cast<std::uint16_t>(std::stoi(log_.substr(at + mark.size())));
}

void RunningServer::read_to_the_end() {
  while (read_more()) {
  }
  ::close(descriptor_);
}

RunningServer::~RunningServer() {
  if (process_ > 0) {
    ::kill(process_, SIGKILL);
    wait();
  }
}

void RunningServer::terminate() const {
  ::kill(process_, SIGTERM);
}

int RunningServer::wait() {
  int status = 0;
  ::waitpid(process_, &status, 0);
  process_ = -1;
  if (reader_.joinable())
    reader_.join();
  else if (descriptor_ >= 0)
    read_to_the_end();
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

std::string RunningServer::log() {
  return log_;
}

HttpClient::HttpClient(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0)
    throw std::runtime_error("cannot connect to the server");
}

HttpClient::~HttpClient() {
  ::close(socket_);
}

bool HttpClient::send(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool HttpClient::fill() {
  char bytes[65536];
  const ssize_t got = ::recv(socket_, bytes, sizeof(bytes), 0);
  if (got > 0) buffer_.append(bytes, static_cast<std::size_t>(got));
  return got > 0;
}

bool HttpClient::read_until(std::string_view text) {
  while (buffer_.find(text) == std::string::npos)
    if (!fill()) return false;
  return true;
}

HttpReply HttpClient::read(std::string_view method) {
  HttpReply reply;
  if (!read_until("\r\n\r\n")) return reply;
  const std::size_t end = buffer_.find("\r\n\r\n");
  reply.status = std::stoi(buffer_.substr(9, 3));
  for (std::size_t at = buffer_.find("\r\n") + 2; at < end + 2;) {
    const std::size_t line_end = buffer_.find("\r\n", at), colon = buffer_.find(": ", at);
    reply.fields[lower_case(buffer_.substr(at, colon - at))] = buffer_.substr(colon + 2, line_end - colon - 2);
    at = line_end + 2;
  }
  buffer_.erase(0, end + 4);
  if (method == "HEAD") return reply;
  if (reply.fields["transfer-encoding"] == "chunked") {
    for (std::size_t size = 1; size > 0;) {
      if (!read_until("\r\n")) return reply;
      size = std::stoul(buffer_, nullptr, 16);
      buffer_.erase(0, buffer_.find("\r\n") + 2);
      while (buffer_.size() < size + 2 && fill()) {
      }
      reply.body += buffer_.substr(0, size);
      buffer_.erase(0, size + 2);
    }
    return reply;
  }
  const std::size_t size = reply.fields.contains("content-length") ? std::stoul(reply.fields["content-length"]) : ~0ul;
  while (buffer_.size() < size && fill()) {
  }
  reply.body = buffer_.substr(0, size);
  buffer_.erase(0, size);
  return reply;
}

HttpReply HttpClient::exchange(const std::string& request, std::string_view method) {
  send(request);
  return read(method);
}

std::string http_get(const std::string& target, const std::string& fields) {
  return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" + fields + "\r\n";
}

std::string http_post(const std::string& target, const std::string& type, const std::string& body,
                      const std::string& fields) {
  return "POST " + target + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: " + type +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + fields + "\r\n" + body;
}

std::string post_json(const std::string& body, const std::string& target) {
  return http_post(target, "application/json", body);
}

std::string post_form(const std::string& picture, const std::vector<std::pair<std::string, std::string>>& fields) {
  std::string body;
  for (const auto& [name, value] : fields)
    body += "--form\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n";
  body += "--form\r\nContent-Disposition: form-data; name=\"image\"; filename=\"photo\"\r\n\r\n" + picture +
          "\r\n--form--\r\n";
  return http_post("/v1/captions", "multipart/form-data; boundary=form", body);
}

std::string base64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size =
      ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                        reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

}  // namespace capdiff::test
