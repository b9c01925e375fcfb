#include "capdiff/evaluation/golden_text.h"

#include <charconv>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <vector>

#include "capdiff/base/error.h"

namespace capdiff {

namespace fs = std::filesystem;

fs::path find_vocabulary(const fs::path& folder, const std::optional<fs::path>& given, const VocabularyName& name) {
  const fs::path usual = fs::path("text") / name.shared;
  std::vector<fs::path> places;
  if (given) {
    places = {*given};
  } else {
    places.push_back(folder / name.own);
    if (const char* data = std::getenv("CAPDIFF_DATA"); data && *data) places.push_back(data / usual);
    places.push_back(folder / ".." / ".." / "data" / usual);
  }
  for (const fs::path& place : places)
    if (fs::exists(place)) return place;
  fail(ErrorCode::not_found, "{}: the vocabulary of these goldens is not there; name it with --vocab",
       places.back().string());
}

std::optional<std::int64_t> number_behind(std::string_view prefix, std::string_view key) {
  if (!key.starts_with(prefix)) return std::nullopt;
  key.remove_prefix(prefix.size());
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), number);
  if (error != std::errc() || end != key.data() + key.size()) return std::nullopt;
  return number;
}

void for_each_case(GoldenReport& report, const std::string& path, const nlohmann::json& cases,
                   const std::function<void(const std::string&, const nlohmann::json&)>& check) {
  if (cases.empty()) report.fail_check("json." + path, "there is no case");
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const std::string place = path + "." + std::to_string(i);
    report.part("json." + place, [&] { check(place, cases.at(i)); });
  }
}

}  // namespace capdiff
