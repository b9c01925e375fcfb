#include "capdiff/base/logging.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "capdiff/base/error.h"
#include "capdiff/base/progress.h"
#include "capdiff/base/suggestion.h"

namespace capdiff {
namespace {

const std::vector<std::pair<std::string, spdlog::level::level_enum>> kLevels = {
    {"trace", spdlog::level::trace},  {"debug", spdlog::level::debug}, {"info", spdlog::level::info},
    {"warning", spdlog::level::warn}, {"error", spdlog::level::err},   {"off", spdlog::level::off}};

spdlog::level::level_enum parse_level(const std::string& name) {
  std::vector<std::string> known;
  for (const auto& [level_name, level] : kLevels) {
    if (level_name == name) return level;
    known.push_back(level_name);
  }
  fail(ErrorCode::usage, "\"{}\" is not a log level (trace, debug, info, warning, error, off){}", name,
       suggestion(name, known));
}

const char* colour_of(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::critical:
    case spdlog::level::err: return "\x1b[1;31m";
    case spdlog::level::warn: return "\x1b[33m";
    case spdlog::level::debug:
    case spdlog::level::trace: return "\x1b[2m";
    default: return "";
  }
}

/// Standard error, shared with the progress bar.
class StderrSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit StderrSink(bool colours) : colours_(colours) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t formatted;
    formatter_->format(message, formatted);
    std::string line(formatted.data(), formatted.size());
    const char* const colour = colours_ ? colour_of(message.level) : "";
    if (*colour) line = colour + line + "\x1b[0m";
    write_to_stderr(line);
  }
  void flush_() override {}

  const bool colours_;
};

bool wants_no_colour() {
  const char* const value = std::getenv("NO_COLOR");  // https://no-color.org: set and not empty
  return value && *value;
}

}  // namespace

void set_up_logging(std::string_view level) {
  std::string name(level);
  if (name.empty()) {
    const char* const from_environment = std::getenv("CAPDIFF_LOG");
    name = from_environment && *from_environment ? from_environment : "info";
  }
  const spdlog::level::level_enum threshold = parse_level(name);
  auto logger = std::make_shared<spdlog::logger>(
      "capdiff", std::make_shared<StderrSink>(stderr_is_terminal() && !wants_no_colour()));
  logger->set_pattern("capdiff: %l: %v");
  logger->set_level(threshold);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace capdiff
