#include "capdiff/training/metrics_log.h"

#include <spdlog/spdlog.h>

#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"

namespace capdiff {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{1} << 30;
constexpr auto kRedraw = std::chrono::seconds(30);

/// Whether a line stays when `stage` goes back to `step`. What is not a line of metrics, such as a half-written one,
/// goes.
bool stays(const nlohmann::json& line, const std::string& stage, std::int64_t step) {
  if (!line.is_object() || !line.contains("stage") || !line.contains("step")) return false;
  return line["stage"] != stage || (line["step"].is_number() && line["step"] <= step);
}

/// The numbers of a line under the names that TensorBoard shows.
void add_scalars(const nlohmann::json& object, const std::string& prefix, std::map<std::string, double>& scalars) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_number() && key != "step") scalars[prefix + key] = value.get<double>();
    if (value.is_object()) add_scalars(value, prefix + key + "/", scalars);
  }
}

}  // namespace

MetricsLog::MetricsLog(std::filesystem::path path, std::string stage, std::int64_t step)
    : path_(std::move(path)), stage_(std::move(stage)), first_step_(step + 1) {
  if (std::filesystem::exists(path_)) {
    std::istringstream lines(read_text(path_, kMaxBytes));
    std::string kept;
    for (std::string text; std::getline(lines, text);) {
      const nlohmann::json line = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
      if (!stays(line, stage_, step)) continue;
      kept += text + "\n";
      curves_.add(line);
    }
    write_file_atomically(path_, kept);
  }
  stream_.open(path_, std::ios::app);
  if (!stream_) fail(ErrorCode::io, "{}: cannot be opened for writing", path_.string());
}

MetricsLog::~MetricsLog() {
  draw_curves();
}

void MetricsLog::write(nlohmann::json line) {
  line["stage"] = stage_;
  stream_ << line.dump() << std::endl;
  if (!stream_) fail(ErrorCode::io, "{}: cannot be written to", path_.string());
  std::map<std::string, double> scalars;
  add_scalars(line, "", scalars);
  if (!tensorboard_) tensorboard_.emplace(path_.parent_path() / "tensorboard" / stage_, first_step_);
  tensorboard_->write(line.at("step").get<std::int64_t>(), scalars);
  curves_.add(line);
  if (Clock::now() - drawn_ >= kRedraw) draw_curves();
}

void MetricsLog::draw_curves() {
  drawn_ = Clock::now();
  if (curves_.empty()) return;
  try {
    write_file_atomically(path_.parent_path() / "curves.svg", curves_.svg());
  } catch (const Error& error) {
    spdlog::warn("{}", error.what());
  }
}

}  // namespace capdiff
