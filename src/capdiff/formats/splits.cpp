#include "capdiff/formats/splits.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "capdiff/base/error.h"
#include "capdiff/base/hash.h"

namespace capdiff {
namespace {

constexpr std::array<std::string_view, 4> kSplits{"train", "restval", "val", "test"};

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

}  // namespace

std::optional<std::string> split_in_name(std::string_view name) {
  for (std::size_t begin = 0; begin < name.size();) {
    if (!is_letter(name[begin])) {
      ++begin;
      continue;
    }
    std::size_t end = begin;
    while (end < name.size() && is_letter(name[end])) ++end;
    const std::string_view word = name.substr(begin, end - begin);
    if (word == "validation") return "val";
    if (std::ranges::find(kSplits, word) != kSplits.end()) return std::string(word);
    begin = end;
  }
  return std::nullopt;
}

std::string split_by_hash(std::string_view name, double validation_share) {
  const std::uint64_t hash = xxh3_64(std::as_bytes(std::span(name)));
  return std::ldexp(static_cast<double>(hash >> 11), -53) < validation_share ? "val" : "train";
}

void require_splits(const std::vector<std::string>& wanted, const std::set<std::string>& there,
                    const std::string& source) {
  for (const std::string& split : wanted)
    if (!there.contains(split))
      fail(ErrorCode::invalid_input, "{} has no pictures in split \"{}\"; it has \"{}\"", source, split,
           fmt::join(there, "\", \""));
}

void keep_splits(CaptionDataset& dataset, const std::vector<std::string>& wanted, const std::string& source) {
  if (wanted.empty()) return;
  std::set<std::string> there;
  for (const CaptionedImage& image : dataset.images) there.insert(image.split);
  require_splits(wanted, there, source);
  std::erase_if(dataset.images,
                [&](const CaptionedImage& image) { return std::ranges::find(wanted, image.split) == wanted.end(); });
}

}  // namespace capdiff
