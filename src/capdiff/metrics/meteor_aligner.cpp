#include "capdiff/metrics/meteor_aligner.h"

#include <algorithm>
#include <cstdlib>
#include <tuple>

namespace capdiff {
namespace {

std::int64_t distance(const MeteorMatch& match) {
  return std::abs(match.reference_begin - match.hypothesis_begin);
}

}  // namespace

void MeteorAligner::Path::add(const MeteorMatch& match, bool is_exact) {
  const std::int32_t share = is_exact ? 1 : 2;
  covered += match.hypothesis_words / share + match.reference_words / share;
  if (chunk_end != -1 && match.hypothesis_begin != chunk_end) ++chunks;
  next = match.reference_begin + match.reference_words;
  chunk_end = match.hypothesis_begin + match.hypothesis_words;
  added = &match;
}

void MeteorAligner::Path::close_chunk() {
  if (chunk_end != -1) ++chunks;
  chunk_end = -1;
}

bool MeteorAligner::Path::operator<(const Path& other) const {
  return std::tie(other.covered, chunks, distance, age) < std::tie(covered, other.chunks, other.distance, other.age);
}

void MeteorAligner::push(Path path) {
  constexpr std::size_t kPathsForEachKept = 64;
  path.age = age_++;
  next_paths_.push_back(path);
  if (next_paths_.size() < beam_ * kPathsForEachKept) return;
  std::ranges::nth_element(next_paths_, next_paths_.begin() + static_cast<std::ptrdiff_t>(beam_), std::less<>());
  next_paths_.resize(beam_);
}

void MeteorAligner::keep_best() {
  std::ranges::sort(next_paths_, std::less<>());
  if (next_paths_.size() > beam_) next_paths_.resize(beam_);
}

bool MeteorAligner::uses_word_of(const Path& path, const MeteorMatch& match) const {
  const std::uint64_t* const used = used_.data() + path.used * used_size_;
  for (std::int32_t i = match.hypothesis_begin; i < match.hypothesis_begin + match.hypothesis_words; ++i)
    if (used[i / 64] >> (i % 64) & 1) return true;
  return false;
}

void MeteorAligner::advance(std::size_t at, const MeteorMatches& matches, std::span<const MeteorModule> modules) {
  const auto is_exact = [&](const MeteorMatch& match) { return modules[match.module] == MeteorModule::exact; };
  const auto here = matches.at(at);
  const bool is_certain = here.size() == 1 && matches.is_alone(here.front());
  for (Path path : paths_) {
    if (static_cast<std::size_t>(path.next) > at) {
      push(path);
      continue;
    }
    if (is_certain) {
      path.add(here.front(), is_exact(here.front()));
      path.distance += distance(here.front());
      push(path);
      continue;
    }
    for (const MeteorMatch& match : here) {
      if (uses_word_of(path, match)) continue;
      Path extended = path;
      extended.add(match, is_exact(match));
      push(extended);
      path.distance += distance(match);
    }
    path.close_chunk();
    ++path.next;
    push(path);
  }
}

void MeteorAligner::record_matches() {
  next_used_.resize(next_paths_.size() * used_size_);
  for (std::uint32_t i = 0; i < next_paths_.size(); ++i) {
    Path& path = next_paths_[i];
    std::uint64_t* const used = next_used_.data() + i * used_size_;
    std::copy_n(used_.begin() + static_cast<std::ptrdiff_t>(path.used * used_size_), used_size_, used);
    path.used = i;
    if (!path.added) continue;
    for (std::int32_t word = 0; word < path.added->hypothesis_words; ++word) {
      const std::int32_t bit = path.added->hypothesis_begin + word;
      used[bit / 64] |= std::uint64_t{1} << (bit % 64);
    }
    trail_.push_back({path.added, path.trail});
    path.trail = static_cast<std::uint32_t>(trail_.size() - 1);
    path.added = nullptr;
  }
}

std::vector<MeteorMatch> MeteorAligner::align(const MeteorMatches& matches, std::span<const MeteorModule> modules) {
  used_size_ = matches.hypothesis_words() / 64 + 1;
  used_.assign(used_size_, 0);
  trail_.clear();
  paths_.assign(1, Path{});
  age_ = 0;
  for (std::size_t at = 0; at < matches.reference_words(); ++at) {
    next_paths_.clear();
    advance(at, matches, modules);
    keep_best();
    record_matches();
    paths_.swap(next_paths_);
    used_.swap(next_used_);
  }
  for (std::uint32_t i = 0; i < paths_.size(); ++i) {
    paths_[i].close_chunk();
    paths_[i].age = i;
  }
  std::vector<MeteorMatch> best;
  for (std::uint32_t step = std::ranges::min_element(paths_, std::less<>())->trail; step != kNone;
       step = trail_[step].previous)
    best.push_back(*trail_[step].match);
  std::ranges::reverse(best);
  return best;
}

}  // namespace capdiff
