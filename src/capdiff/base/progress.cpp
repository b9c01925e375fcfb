#include "capdiff/base/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <mutex>

namespace capdiff {
namespace {

constexpr auto kRedraw = std::chrono::milliseconds(100);
constexpr auto kPlainLine = std::chrono::seconds(30);

/// Standard error, and the bar at its bottom that other lines must not tear.
struct Screen {
  std::mutex mutex;
  std::string bar;
  std::function<void(std::string_view)> writer;
};

Screen& screen() {
  static Screen instance;
  return instance;
}

/// Under the screen's mutex.
void write_all(std::string_view text) {
  if (screen().writer) return screen().writer(text);
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // nobody is left to be told
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

int terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

std::string duration_text(double seconds) {
  constexpr double kDays100 = 100 * 86400.0;
  const auto total = static_cast<std::int64_t>(std::llround(std::min(seconds, kDays100)));
  if (total >= 3600) return fmt::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
  return fmt::format("{}:{:02}", total / 60, total % 60);
}

std::string progress_line(std::string_view label, std::uint64_t done, std::uint64_t total, double seconds, int width) {
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  std::string tail;
  if (total > 0) {
    const double fraction = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
    tail = fmt::format("{}% {}/{}", static_cast<int>(100 * fraction), done, total);
  } else {
    tail = fmt::format("{}", done);
  }
  if (rate > 0) {
    tail += fmt::format(", {:.1f}/s", rate);
    if (total > done) tail += fmt::format(", {} left", duration_text(static_cast<double>(total - done) / rate));
  }

  constexpr int kNarrowestBar = 10;
  constexpr int kWidestBar = 40;
  const int room = width - static_cast<int>(label.size() + tail.size()) - 4;
  if (total == 0 || room < kNarrowestBar) return fmt::format("{} {}", label, tail);
  const int cells = std::min(room, kWidestBar);
  const double fraction = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const auto filled = static_cast<std::size_t>(fraction * cells);
  return fmt::format("{} [{}{}] {}", label, std::string(filled, '#'),
                     std::string(static_cast<std::size_t>(cells) - filled, '.'), tail);
}

bool stderr_is_terminal() {
  const char* const terminal = std::getenv("TERM");
  return isatty(STDERR_FILENO) && terminal && std::string_view(terminal) != "dumb";
}

void write_to_stderr(std::string_view text) {
  const std::lock_guard lock(screen().mutex);
  if (screen().bar.empty()) return write_all(text);
  write_all(fmt::format("\r\x1b[K{}{}", text, screen().bar));
}

void set_stderr_writer(std::function<void(std::string_view)> writer) {
  const std::lock_guard lock(screen().mutex);
  screen().writer = std::move(writer);
}

Progress::Progress(std::string label, std::uint64_t total)
    : label_(std::move(label)), total_(total), terminal_(stderr_is_terminal()) {}

Progress::~Progress() {
  const std::lock_guard lock(screen().mutex);
  if (screen().bar.empty()) return;
  screen().bar.clear();
  write_all("\r\x1b[K");
}

void Progress::advance(std::uint64_t by) {
  const std::lock_guard lock(screen().mutex);
  done_ += by;
  const Clock::time_point now = Clock::now();
  if (now - shown_ < (terminal_ ? Clock::duration(kRedraw) : Clock::duration(kPlainLine))) return;
  shown_ = now;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  if (!terminal_) return write_all(progress_line(label_, done_, total_, seconds, 0) + "\n");
  // The last column stays free: some terminals wrap as soon as it is written.
  const int width = terminal_width() - 1;
  screen().bar = progress_line(label_, done_, total_, seconds, width).substr(0, static_cast<std::size_t>(width));
  write_all("\r\x1b[K" + screen().bar);
}

}  // namespace capdiff
