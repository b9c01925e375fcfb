#pragma once

#include <map>
#include <string>
#include <string_view>

#include "capdiff/formats/safetensors.h"

namespace capdiff {

/// The key of the header that is not a tensor.
inline constexpr const char* kSafetensorsMetadata = "__metadata__";

struct SafetensorsHeader {
  std::map<std::string, std::string> metadata;
  std::map<std::string, SafetensorsFile::Entry, std::less<>> entries;
};

/// Parses the JSON header of a safetensors file, without ever building a tree of it. Each entry has begin <= end and
/// exactly the bytes that its dtype and shape need; whether entries fit the file and each other is for the caller to
/// check. Throws `Error(invalid_model)`, or `Error(unsupported)` for an element type that capdiff does not have.
SafetensorsHeader parse_safetensors_header(std::string_view json, const std::string& file);

}  // namespace capdiff
