#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <map>

#include "apps/capdiff/caption_output.h"
#include "capdiff/base/error.h"
#include "capdiff/base/files.h"

namespace capdiff::app {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxSidecarText = std::size_t{1} << 20;

/// A path as it was given, without what leads out of a folder that it is put into.
fs::path inside(const std::string& key) {
  fs::path result;
  for (const fs::path& part : fs::path(key).lexically_normal().relative_path())
    if (part != "..") result /= part;
  return result;
}

/// Why new files cannot be made in a folder, or in the folder that it would be made in; empty where they can.
std::string objection_to(const fs::path& folder) {
  const fs::path there = folder.empty() ? "." : folder;
  struct stat status {};
  if (::stat(there.c_str(), &status) == 0 && !S_ISDIR(status.st_mode))
    return fmt::format("cannot write captions into {}: it is a file", there.string());
  if (::access(there.c_str(), W_OK | X_OK) == 0) return "";
  const int error = errno;
  if (error == ENOENT && folder.has_parent_path() && folder.parent_path() != folder)
    return objection_to(folder.parent_path());
  if (error == ENOENT && folder.is_relative()) return objection_to("");
  return fmt::format("cannot write captions into {}: {}", there.string(), system_message(error));
}

/// Whether a sidecar has something in it: a power cut may leave an empty one.
bool is_there(const fs::path& sidecar) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(sidecar, error);
  return !error && size > 0;
}

class SidecarOutput final : public CaptionOutput {
 public:
  explicit SidecarOutput(const OutputOptions& options)
      : folder_(options.sidecar_dir), extension_(options.sidecar_extension), existing_(*options.policy()) {}

  void claim(std::span<Input> inputs, NamedFiles& files) override {
    for (Input& input : inputs) {
      if (!input.error.empty()) continue;
      if (input.name == "-" || input.in_archive())
        fail(ErrorCode::usage, "{}: sidecars are of pictures that are files of their own; choose --format jsonl",
             input.name);
      const fs::path sidecar = path_of(input);
      const NamedFiles::Owner* owner = files.owner_of(sidecar);
      if (!owner)
        files.add_written(sidecar, input.name);
      else if (!owner->is_read)
        input.error = fmt::format("{}: its text file would be that of {}", input.name, owner->name);
      else if (!has(input) || files.owner_of(input.photo.file) == owner)
        input.error = fmt::format("{}: its text file would take the place of {}", input.name, owner->name);
    }
  }

  void check(std::span<Input> inputs) override {
    if (!folder_.empty()) {
      std::error_code error;
      fs::create_directories(folder_, error);
      if (error) fail(ErrorCode::io, "cannot create {}: {}", folder_.string(), error.message());
      if (const std::string reason = objection_to(folder_); !reason.empty()) fail(ErrorCode::io, "{}", reason);
    }
    std::map<fs::path, std::string> folders;
    std::string of_folder;
    bool any = false;
    for (Input& input : inputs) {
      if (!input.error.empty()) continue;
      const fs::path sidecar = path_of(input);
      if (existing_ == Existing::error && is_there(sidecar))
        fail(ErrorCode::io, "{} is there already; see --existing", sidecar.string());
      if (has(input)) {
        any = true;
        continue;
      }
      const auto [folder, added] = folders.try_emplace(sidecar.parent_path());
      // Where the folder of a picture is not there, the picture is not there either.
      if (added && (!folder_.empty() || folder->first.empty() || fs::exists(folder->first)))
        folder->second = objection_to(folder->first);
      input.error = objection_to_file(sidecar);
      if (input.error.empty() && !folder->second.empty()) input.error = of_folder = folder->second;
      any = any || input.error.empty();
    }
    if (!any && !of_folder.empty()) fail(ErrorCode::io, "{}", of_folder);
  }

  bool keeps() const override { return true; }
  bool has(const Input& input) const override { return existing_ == Existing::skip && is_there(path_of(input)); }

  void add(const Input& input, const Captioned& captioned) override {
    const fs::path sidecar = path_of(input);
    try {
      write(sidecar, captioned.caption.text);
    } catch (const Error& error) {
      // A disk that is full ends the run; a place that has become closed to this picture is that picture's failure.
      std::string reason = objection_to_file(sidecar);
      if (reason.empty()) reason = objection_to(sidecar.parent_path());
      if (error.code() != ErrorCode::io || reason.empty()) throw;
      fail(ErrorCode::invalid_input, "{}", reason);
    }
  }

  void flush() override {}
  void finish() override {}
  /// Only what is skipped is not captioned again.
  bool goes_on() const override { return existing_ == Existing::skip; }

 private:
  /// Why a file of that name cannot be written, whatever its folder; empty where it can.
  static std::string objection_to_file(const fs::path& sidecar) {
    struct stat status {};
    const int error = ::stat(sidecar.c_str(), &status) == 0 ? 0 : errno;
    if (error == 0 && S_ISDIR(status.st_mode)) return fmt::format("cannot write {}: it is a folder", sidecar.string());
    return error == ENAMETOOLONG ? fmt::format("cannot write {}: {}", sidecar.string(), system_message(error)) : "";
  }

  void write(const fs::path& sidecar, const std::string& caption) const {
    if (!folder_.empty()) {
      std::error_code error;
      fs::create_directories(sidecar.parent_path(), error);
      if (error) fail(ErrorCode::io, "cannot create {}: {}", sidecar.parent_path().string(), error.message());
    }
    std::optional<std::string> there;
    if (existing_ != Existing::overwrite && is_there(sidecar)) there = read_text(sidecar, kMaxSidecarText);
    if (const auto text = sidecar_text(there, caption, existing_)) write_file_atomically(sidecar, *text, Flush::no);
  }

  fs::path path_of(const Input& input) const {
    return sidecar_of(folder_.empty() ? fs::path(input.name) : folder_ / inside(input.key), extension_);
  }

  fs::path folder_;
  std::string extension_;
  Existing existing_;
};

}  // namespace

std::unique_ptr<CaptionOutput> make_sidecar_output(const OutputOptions& options) {
  return std::make_unique<SidecarOutput>(options);
}

}  // namespace capdiff::app
