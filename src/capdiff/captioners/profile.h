#pragma once

#include <string_view>

#include "capdiff/formats/json_reader.h"

namespace capdiff {

/// Which of its two descriptions a captioner follows. Each difference between them is a field of its configuration;
/// the profile is where its default comes from.
enum class Profile {
  paper,
  released,  ///< the authors' code, so that their checkpoint gives their captions
};

/// The key "profile" of a configuration.
inline Profile read_profile(const JsonReader& json) {
  return json.get_choice("profile", {"paper", "released"}) == "released" ? Profile::released : Profile::paper;
}

inline std::string_view name_of(Profile profile) {
  return profile == Profile::released ? "released" : "paper";
}

}  // namespace capdiff
