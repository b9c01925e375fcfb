#include "apps/capdiff/named_files.h"

#include "capdiff/base/error.h"
#include "capdiff/formats/image_folder.h"
#include "capdiff/formats/webdataset.h"

namespace capdiff::app {

namespace fs = std::filesystem;

NamedFiles::NamedFiles(std::span<const Input> inputs) {
  const fs::path* last = nullptr;
  for (const Input& input : inputs) {
    if (!input.error.empty() || input.name == "-") continue;
    if (last && input.in_archive() && *last == input.photo.file) continue;
    last = &input.photo.file;
    add_read(input.photo.file, input.photo.file.string());
  }
}

std::string NamedFiles::key_of(const fs::path& file) {
  std::error_code error;
  if (fs::is_symlink(fs::symlink_status(file, error))) {
    const fs::path target = fs::canonical(file, error);
    if (!error) return target.string();
  }
  const std::string folder = file.parent_path().string();
  auto found = folders_.find(folder);
  if (found == folders_.end()) {
    const fs::path resolved = fs::weakly_canonical(folder.empty() ? "." : folder, error);
    found = folders_.emplace(folder, error ? folder : resolved.string()).first;
  }
  return found->second + "/" + file.filename().string();
}

void NamedFiles::add_read(const fs::path& file, const std::string& name) {
  owners_.try_emplace(key_of(file), Owner{name, true});
}

const NamedFiles::Owner* NamedFiles::owner_of(const fs::path& file) {
  const auto found = owners_.find(key_of(file));
  return found == owners_.end() ? nullptr : &found->second;
}

void NamedFiles::add_written(const fs::path& file, const std::string& name) {
  owners_.try_emplace(key_of(file), Owner{name, false});
}

void NamedFiles::add_option(const std::string& option, const fs::path& file) {
  std::error_code ignored;
  if (fs::exists(file, ignored) && !fs::is_regular_file(file, ignored)) return;
  if (is_picture_name(file) || is_tar_name(file))
    fail(ErrorCode::usage, "{} {}: that is what a picture or a tar file is called; captions do not go there", option,
         file.string());
  if (const Owner* owner = owner_of(file))
    fail(ErrorCode::usage, "{} {}: it is {}, as {}", option, file.string(), owner->is_read ? "read" : "written already",
         owner->name);
  add_written(file, option + " " + file.string());
}

}  // namespace capdiff::app
