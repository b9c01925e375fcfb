#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace capdiff {

/// What becomes of a text that is there already.
enum class Existing { skip, overwrite, append, prepend, error };

/// The policy of that name. Throws `Error(usage)` for another one.
Existing existing_of(std::string_view name);

/// Where the captions of a picture stand: the same name with another extension, "txt" or ".txt".
std::filesystem::path sidecar_of(const std::filesystem::path& picture, const std::string& extension);

/// The text of a sidecar, one caption a line, after `caption` has come to what was `there`; nothing where it stays as
/// it is. A caption that is among the lines already is not added again, so that a run that was broken off can be
/// repeated.
std::optional<std::string> sidecar_text(const std::optional<std::string>& there, const std::string& caption,
                                        Existing existing);

}  // namespace capdiff
