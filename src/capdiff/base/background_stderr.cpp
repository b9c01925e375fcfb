#include "capdiff/base/background_stderr.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "capdiff/base/progress.h"

namespace capdiff {
namespace {

constexpr std::size_t kPipePiece = 4096;  ///< so much a pipe takes at once when it is ready for anything (PIPE_BUF)
constexpr int kLookMilliseconds = 100;    ///< how often a reader that stalls is left to see whether the program ends
constexpr std::chrono::seconds kLastWords{1};

}  // namespace

BackgroundStderr::BackgroundStderr(std::size_t max_bytes) : max_bytes_(max_bytes), thread_([this] { run(); }) {
  set_stderr_writer([this](std::string_view text) { add(text); });
}

BackgroundStderr::~BackgroundStderr() {
  set_stderr_writer(nullptr);
  {
    const std::lock_guard lock(mutex_);
    say_what_is_missing();
    stopping_ = true;
    last_moment_ = std::chrono::steady_clock::now() + kLastWords;
  }
  changed_.notify_one();
  thread_.join();
}

std::uint64_t BackgroundStderr::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

void BackgroundStderr::add(std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (bytes_ + text.size() > max_bytes_) {
    ++dropped_;
    ++unsaid_;
    return;
  }
  say_what_is_missing();
  queue(std::string(text));
  changed_.notify_one();
}

void BackgroundStderr::queue(std::string text) {
  bytes_ += text.size();
  texts_.push_back(std::move(text));
}

void BackgroundStderr::say_what_is_missing() {
  if (unsaid_ > 0)
    queue(fmt::format("{} lines are missing here: standard error was not read in time\n", std::exchange(unsaid_, 0)));
}

void BackgroundStderr::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !texts_.empty(); });
    if (texts_.empty()) return;
    const std::string text = std::move(texts_.front());
    texts_.pop_front();
    lock.unlock();
    const bool written = write(text);
    lock.lock();
    bytes_ -= text.size();
    if (!written) ++dropped_;
  }
}

bool BackgroundStderr::given_up() const {
  const std::lock_guard lock(mutex_);
  return stopping_ && std::chrono::steady_clock::now() > last_moment_;
}

bool BackgroundStderr::write(std::string_view text) {
  while (!text.empty()) {
    if (given_up()) return false;
    pollfd ready{STDERR_FILENO, POLLOUT, 0};
    if (::poll(&ready, 1, kLookMilliseconds) <= 0) continue;
    const ssize_t written = ::write(STDERR_FILENO, text.data(), std::min(text.size(), kPipePiece));
    if (written < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (written <= 0) return false;  // nobody is left to be told
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace capdiff
