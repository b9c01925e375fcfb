#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <unordered_map>

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

/// Throws unless new files can be made in a folder.
void check_writable(const fs::path& folder) {
  if (::access(folder.empty() ? "." : folder.c_str(), W_OK | X_OK) == 0) return;
  const int error = errno;
  fail(ErrorCode::io, "cannot write captions into {}: {}", folder.empty() ? "." : folder.string(),
       system_message(error));
}

/// Whether a sidecar has something in it: a power cut may leave an empty one.
bool is_there(const fs::path& sidecar) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(sidecar, error);
  return (!error && size > 0) || fs::is_directory(sidecar, error);
}

class SidecarOutput final : public CaptionOutput {
 public:
  explicit SidecarOutput(const OutputOptions& options)
      : folder_(options.sidecar_dir), extension_(options.sidecar_extension), existing_(*options.policy()) {}

  void check(std::span<Input> inputs) override {
    if (!folder_.empty()) {
      std::error_code error;
      fs::create_directories(folder_, error);
      if (error) fail(ErrorCode::io, "cannot create {}: {}", folder_.string(), error.message());
      check_writable(folder_);
    }
    std::unordered_map<std::string, const Input*> owners;
    std::set<fs::path> folders;
    for (Input& input : inputs) {
      if (!input.error.empty()) continue;
      if (input.name == "-" || input.in_archive())
        fail(ErrorCode::usage, "{}: sidecars are of pictures that are files of their own; choose --format jsonl",
             input.name);
      const fs::path sidecar = path_of(input);
      const auto [owner, free] = owners.emplace(sidecar.string(), &input);
      if (!free) {
        input.error = fmt::format("{}: its text file would be that of {}", input.name, owner->second->name);
        continue;
      }
      if (folder_.empty() && folders.insert(sidecar.parent_path()).second && fs::exists(sidecar.parent_path()))
        check_writable(sidecar.parent_path());
      if (existing_ == Existing::error && is_there(sidecar))
        fail(ErrorCode::io, "{} is there already; see --existing", sidecar.string());
    }
  }

  bool has(const Input& input) const override { return existing_ == Existing::skip && is_there(path_of(input)); }

  void add(const Input& input, const Caption& caption, double /*seconds*/) override {
    const fs::path sidecar = path_of(input);
    if (!folder_.empty()) {
      std::error_code error;
      fs::create_directories(sidecar.parent_path(), error);
      if (error) fail(ErrorCode::io, "cannot create {}: {}", sidecar.parent_path().string(), error.message());
    }
    std::optional<std::string> there;
    if (existing_ != Existing::overwrite && is_there(sidecar)) there = read_text(sidecar, kMaxSidecarText);
    if (const auto text = sidecar_text(there, caption.text, existing_))
      write_file_atomically(sidecar, *text, Flush::no);
  }

  void flush() override {}
  void finish() override {}
  bool goes_on() const override { return existing_ != Existing::overwrite && existing_ != Existing::error; }

 private:
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
