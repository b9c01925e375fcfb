#include "capdiff/training/run_folder.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/formats/json_reader.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxOutputs = 64;

void create_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) fail(ErrorCode::io, "{}: the folder cannot be created: {}", path.string(), error.message());
}

}  // namespace

RunFolder::RunFolder(fs::path path, Access access) : path_(std::move(path)) {
  if (access == Access::read) return;
  create_folder(path_ / "stages");
  const fs::path name = path_ / "lock";
  lock_ = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (lock_ < 0) fail(ErrorCode::io, "{}: cannot be opened: {}", name.string(), std::strerror(errno));
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    ::close(lock_);
    if (error == EWOULDBLOCK) fail(ErrorCode::usage, "{}: another process is training in this folder", path_.string());
    fail(ErrorCode::io, "{}: cannot be locked: {}", name.string(), std::strerror(error));
  }
}

RunFolder::~RunFolder() {
  if (lock_ >= 0) ::close(lock_);
}

bool RunFolder::is_done(const std::string& stage, const std::string& settings) const {
  if (!fs::exists(marker(stage))) return false;
  const JsonReader reader = JsonReader::open(marker(stage));
  for (const std::string& output : reader.get_strings("outputs", kMaxOutputs)) {
    if (fs::exists(file(output))) continue;
    spdlog::warn("stage {} was done, but its output {} is gone: it is done again", stage, file(output).string());
    return false;
  }
  if (reader.get_string("settings") != settings) {
    spdlog::warn("stage {} was done with other settings than those of the recipe; --no-resume does it again", stage);
  }
  return true;
}

void RunFolder::mark_done(const std::string& stage, const std::string& settings,
                          const std::vector<std::string>& outputs) {
  for (const std::string& output : outputs) {
    if (!fs::exists(file(output))) {
      fail(ErrorCode::internal, "stage {} did not write its output {}", stage, file(output).string());
    }
  }
  const nlohmann::json marker_json = {{"stage", stage}, {"settings", settings}, {"outputs", outputs}};
  write_file_atomically(marker(stage), marker_json.dump(2) + "\n");
}

void RunFolder::forget(const std::string& stage) {
  std::error_code error;
  fs::remove(marker(stage), error);
  if (!error) fs::remove_all(checkpoints(stage), error);
  if (error) fail(ErrorCode::io, "{}: stage {} cannot be removed: {}", path_.string(), stage, error.message());
}

}  // namespace capdiff
