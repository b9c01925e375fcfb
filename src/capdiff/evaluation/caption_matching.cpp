#include "capdiff/evaluation/caption_matching.h"

#include <fmt/ranges.h>

#include <optional>
#include <string_view>
#include <unordered_map>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

std::string name_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

/// Where the references of an image are.
class ReferenceIndex {
 public:
  explicit ReferenceIndex(std::span<const ReferenceCaptions> references) {
    for (std::size_t i = 0; i < references.size(); ++i) {
      if (!ids_.emplace(references[i].id, i).second)
        fail(ErrorCode::invalid_input, "the references have image {} twice", references[i].id);
      if (references[i].file.empty()) continue;
      files_.emplace(references[i].file, i);
      const auto [name, added] = names_.emplace(name_of(references[i].file), i);
      if (!added) name->second = kSeveral;
    }
  }

  std::optional<std::size_t> find(const CaptionResult& result) const {
    if (!result.id.empty()) return at(ids_, result.id);
    if (const auto found = at(ids_, result.file)) return found;
    if (const auto found = at(files_, result.file)) return found;
    const auto found = at(names_, name_of(result.file));
    if (found == kSeveral)
      fail(ErrorCode::invalid_input, "{}: several images of the references have a picture of this name", result.file);
    return found;
  }

 private:
  using Positions = std::unordered_map<std::string, std::size_t>;
  static constexpr std::size_t kSeveral = static_cast<std::size_t>(-1);

  static std::optional<std::size_t> at(const Positions& positions, const std::string& key) {
    const auto found = positions.find(key);
    return found == positions.end() ? std::nullopt : std::optional(found->second);
  }

  Positions ids_, files_, names_;
};

/// Some of many names, for a message.
class Examples {
 public:
  void add(const std::string& name) {
    constexpr std::size_t kShown = 3;
    if (++count_ <= kShown) shown_.push_back(name);
  }
  std::size_t count() const { return count_; }
  std::string text() const {
    return fmt::format("{}{}", fmt::join(shown_, ", "), count_ > shown_.size() ? ", ..." : "");
  }

 private:
  std::size_t count_ = 0;
  std::vector<std::string> shown_;
};

}  // namespace

MatchedCaptions match_captions(std::span<const ReferenceCaptions> references, std::span<const CaptionResult> results,
                               Coverage coverage) {
  const ReferenceIndex index(references);
  std::vector<const CaptionResult*> found(references.size(), nullptr);
  Examples unknown;
  for (const CaptionResult& result : results) {
    const std::string& shown = result.id.empty() ? result.file : result.id;
    const auto position = index.find(result);
    if (!position) {
      unknown.add(shown);
      continue;
    }
    if (found[*position])
      fail(ErrorCode::invalid_input, "the results have two captions of image {}", references[*position].id);
    found[*position] = &result;
  }
  MatchedCaptions matched;
  Examples missing;
  for (std::size_t i = 0; i < references.size(); ++i) {
    if (found[i])
      matched.captions.push_back(
          {references[i].id, found[i]->caption, references[i].captions, found[i]->candidates, references[i].file});
    else
      missing.add(references[i].id);
  }
  matched.without_caption = missing.count();
  matched.without_references = unknown.count();
  if (coverage == Coverage::equal && unknown.count())
    fail(ErrorCode::invalid_input, "{} results are about images without references: {} (--partial leaves them out)",
         unknown.count(), unknown.text());
  if (coverage == Coverage::equal && missing.count())
    fail(ErrorCode::invalid_input,
         "{} of {} images with references have no result: {} (--partial scores the others, --split takes a part)",
         missing.count(), references.size(), missing.text());
  if (matched.captions.empty()) fail(ErrorCode::invalid_input, "no result is about an image with references");
  return matched;
}

}  // namespace capdiff
