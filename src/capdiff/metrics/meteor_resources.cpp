#include "capdiff/metrics/meteor_resources.h"

#include <algorithm>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/metrics/meteor_english.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxListBytes = std::size_t{1} << 20;
constexpr std::string_view kDebianFolder = "/usr/share/wordnet";

}  // namespace

std::shared_ptr<const MeteorResources> MeteorResources::from_folder(const fs::path& folder) {
  if (!fs::is_directory(folder))
    fail(ErrorCode::not_found, "{}: there is no METEOR data folder with function/, synonym/ and nonbreaking/",
         folder.string());
  const auto prefixes =
      parse_nonbreaking_prefixes(read_text(folder / "nonbreaking" / "english.prefixes", kMaxListBytes));
  const fs::path synonym = folder / "synonym";
  std::shared_ptr<MeteorResources> resources(new MeteorResources(
      "meteor-data", prefixes,
      MeteorSynonyms::from_meteor_files(synonym / "english.synsets", synonym / "english.exceptions")));
  const std::string words = read_text(folder / "function" / "english.words", kMaxListBytes);
  for (std::size_t at = 0; at < words.size();) {
    const std::size_t end = std::min(words.find_first_of("\r\n", at), words.size());
    if (end > at) resources->function_words_.emplace(words.substr(at, end - at));
    at = end + 1;
  }
  if (const fs::path table = folder / "paraphrase-en.gz"; fs::exists(table))
    resources->paraphrases_ = MeteorParaphrases::load(table);
  return resources;
}

std::shared_ptr<const MeteorResources> MeteorResources::from_wordnet(const fs::path& folder) {
  std::shared_ptr<MeteorResources> resources(
      new MeteorResources("wordnet", english_nonbreaking_prefixes(), MeteorSynonyms::from_wordnet(folder)));
  for (const std::string_view word : english_function_words()) resources->function_words_.emplace(std::string(word));
  return resources;
}

std::shared_ptr<const MeteorResources> MeteorResources::from_debian() {
  const fs::path folder(kDebianFolder);
  if (!fs::exists(folder / "index.noun"))
    fail(ErrorCode::not_found,
         "{}: METEOR needs WordNet, which is not there; install Debian's package wordnet-base, or give a METEOR data "
         "folder",
         kDebianFolder);
  return from_wordnet(folder);
}

}  // namespace capdiff
