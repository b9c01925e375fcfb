#include "capdiff/formats/sidecar.h"

#include <algorithm>

#include "capdiff/base/error.h"
#include "capdiff/formats/image_folder.h"

namespace capdiff {

Existing existing_of(std::string_view name) {
  if (name == "skip") return Existing::skip;
  if (name == "overwrite") return Existing::overwrite;
  if (name == "append") return Existing::append;
  if (name == "prepend") return Existing::prepend;
  if (name == "error") return Existing::error;
  fail(ErrorCode::usage, "'{}' is not a way to treat existing captions: skip, overwrite, append, prepend or error",
       name);
}

std::filesystem::path sidecar_of(const std::filesystem::path& picture, const std::string& extension) {
  return std::filesystem::path(picture).replace_extension(extension);
}

std::optional<std::string> sidecar_text(const std::optional<std::string>& there, const std::string& caption,
                                        Existing existing) {
  if (!there || existing == Existing::overwrite) return caption + "\n";
  if (existing != Existing::append && existing != Existing::prepend) return std::nullopt;
  const std::vector<std::string> lines = caption_lines(*there), own = caption_lines(caption);
  if (lines.empty()) return caption + "\n";
  if (!std::ranges::search(lines, own).empty() || own.empty()) return std::nullopt;
  if (existing == Existing::prepend) return caption + "\n" + *there;
  return *there + (there->ends_with('\n') ? "" : "\n") + caption + "\n";
}

}  // namespace capdiff
