#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "capdiff/metrics/meteor_matches.h"

namespace capdiff {

/// Chooses, of all matches of two sentences, those that METEOR scores: no word twice, as many words as possible, in as
/// few chunks as possible, and as little crossing as possible (Denkowski and Lavie, 2014, section 2). As METEOR 1.5
/// does it:
/// - A match that shares no word with any other is taken for certain.
/// - A beam search goes through the words of the reference and keeps `beam` partial alignments. Those are ranked by
///   covered words, then chunks, then the sum of the distances between the matched words; among equals the older wins.
///   A match by stem, synonym or paraphrase counts half its words, rounded down: nothing, where it is of one word.
/// - The distance of a match is added to the alignment it extends, not to the extended one, so that only later
///   extensions of that alignment have it.
/// For one thread; memory is kept from one pair of sentences to the next.
class MeteorAligner {
 public:
  explicit MeteorAligner(std::size_t beam) : beam_(beam) {}

  /// The chosen ones of `matches`, whose first module is exact, in the order of the reference.
  std::vector<MeteorMatch> align(const MeteorMatches& matches, std::span<const MeteorModule> modules);

 private:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;

  /// A partial alignment.
  struct Path {
    std::int64_t covered = 0;  // words of both sides
    std::int64_t chunks = 0;   // closed ones
    std::int64_t distance = 0;
    std::int32_t next = 0;        // first word of the reference behind the last match
    std::int32_t chunk_end = -1;  // first word of the hypothesis behind the last match, -1 where no chunk is open
    std::uint32_t trail = kNone;  // its matches, the last one first, in trail_
    std::uint32_t used = 0;       // the place of its used words of the hypothesis in used_
    std::uint64_t age = 0;        // order in which paths were made

    /// A match that is in none of the above but `covered` to `chunk_end`: most paths are dropped before it matters.
    const MeteorMatch* added = nullptr;

    void add(const MeteorMatch& match, bool is_exact);
    void close_chunk();
    bool operator<(const Path& other) const;
  };
  struct Step {
    const MeteorMatch* match = nullptr;
    std::uint32_t previous = kNone;
  };

  /// Makes the paths through word `at` of the reference out of those that lead to it.
  void advance(std::size_t at, const MeteorMatches& matches, std::span<const MeteorModule> modules);
  void push(Path path);
  void keep_best();
  bool uses_word_of(const Path& path, const MeteorMatch& match) const;
  void record_matches();

  std::size_t beam_;
  std::size_t used_size_ = 0;  // of one path: bits, in words of 64
  std::uint64_t age_ = 0;
  std::vector<Path> paths_;
  std::vector<Path> next_paths_;
  std::vector<std::uint64_t> used_;
  std::vector<std::uint64_t> next_used_;
  std::vector<Step> trail_;
};

}  // namespace capdiff
