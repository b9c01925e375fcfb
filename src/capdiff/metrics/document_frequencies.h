#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "capdiff/metrics/ngrams.h"
#include "capdiff/metrics/scored_image.h"

namespace capdiff {

/// In how many images the references contain each n-gram of one to four words.
class DocumentFrequencies {
 public:
  /// The reference captions of each image of a corpus. An empty corpus is an Error(invalid_input).
  explicit DocumentFrequencies(std::span<const std::vector<Tokens>> references);
  /// Those of the images that are scored, as usual.
  explicit DocumentFrequencies(std::span<const ScoredImage> images);
  /// The same in words that `words` has numbered: captions of images.
  DocumentFrequencies(std::span<const std::vector<std::vector<std::uint32_t>>> references, WordNumbers words);

  std::int64_t images() const { return images_; }
  /// Number of images with `ngram`, whose words are numbered by `words()`; 0 where it is unknown.
  std::int64_t operator[](const Ngram& ngram) const { return counts_[shard_of(ngram)].count(ngram); }
  /// Asks for the memory of a look-up to come.
  void prefetch(const Ngram& ngram) const { counts_[shard_of(ngram)].prefetch(ngram); }
  const WordNumbers& words() const { return words_; }
  /// Distinct n-grams of all orders.
  std::size_t size() const;

  /// Writes a text file: lines `capdiff document frequencies<TAB>1`, `tokenizer<TAB>name` and `images<TAB>N`, then one
  /// of `frequency<TAB>n-gram` for each n-gram, its words a space apart, in the order of bytes. The tokeniser is the
  /// one that cut the references.
  void save(const std::filesystem::path& path, const std::string& tokenizer) const;
  /// Reads such a file, plain or compressed with gzip, at most 4 GiB of text. Throws Error(invalid_input) that names
  /// the file and the line where it is anything else, and where its words were cut by another tokeniser.
  static DocumentFrequencies load(const std::filesystem::path& path, const std::string& tokenizer);

 private:
  static constexpr std::size_t kShards = 16;

  DocumentFrequencies() = default;
  void count(std::span<const std::vector<std::vector<std::uint32_t>>> references);
  static std::size_t shard_of(const Ngram& ngram) { return NgramHash()(ngram) >> 60; }

  std::int64_t images_ = 0;
  WordNumbers words_;
  std::array<NgramTable, kShards> counts_;  // by hash, so that threads can count side by side
};

}  // namespace capdiff
