#include "capdiff/training/metrics_log.h"

#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"

namespace capdiff {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{1} << 30;

/// Whether a line stays when `stage` goes back to `step`. What is not a line of metrics, such as a half-written one,
/// goes.
bool stays(const std::string& text, const std::string& stage, std::int64_t step) {
  const nlohmann::json line = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!line.is_object() || !line.contains("stage") || !line.contains("step")) return false;
  return line["stage"] != stage || (line["step"].is_number() && line["step"] <= step);
}

}  // namespace

MetricsLog::MetricsLog(std::filesystem::path path, std::string stage, std::int64_t step)
    : path_(std::move(path)), stage_(std::move(stage)) {
  if (std::filesystem::exists(path_)) {
    std::istringstream lines(read_text(path_, kMaxBytes));
    std::string kept;
    for (std::string line; std::getline(lines, line);) {
      if (stays(line, stage_, step)) kept += line + "\n";
    }
    write_file_atomically(path_, kept);
  }
  stream_.open(path_, std::ios::app);
  if (!stream_) fail(ErrorCode::io, "{}: cannot be opened for writing", path_.string());
}

void MetricsLog::write(nlohmann::json line) {
  line["stage"] = stage_;
  stream_ << line.dump() << std::endl;
  if (!stream_) fail(ErrorCode::io, "{}: cannot be written to", path_.string());
}

}  // namespace capdiff
