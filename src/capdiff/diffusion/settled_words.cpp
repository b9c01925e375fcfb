#include "capdiff/diffusion/settled_words.h"

#include <algorithm>
#include <cstddef>

namespace capdiff {

void SettledWords::update(const HostTensor& words) {
  const std::span<const std::int64_t> latest = words.values<std::int64_t>();
  length_ = words.shape()[1];
  agreed_.resize(latest.size());
  words_.resize(latest.size(), -1);
  for (std::size_t i = 0; i < latest.size(); ++i) {
    agreed_[i] = latest[i] == words_[i] ? agreed_[i] + 1 : 1;
    words_[i] = latest[i];
  }
}

HostTensor SettledWords::mask(std::int64_t calls) const {
  HostTensor mask(DType::f32, {static_cast<std::int64_t>(agreed_.size()) / length_, length_, 1});
  std::ranges::transform(agreed_, mask.mutable_values<float>().begin(),
                         [calls](std::int64_t agreed) { return agreed >= calls ? 1.0f : 0.0f; });
  return mask;
}

std::vector<bool> SettledWords::rows(std::int64_t calls) const {
  std::vector<bool> settled;
  for (auto row = agreed_.begin(); row != agreed_.end(); row += length_)
    settled.push_back(std::all_of(row, row + length_, [calls](std::int64_t agreed) { return agreed >= calls; }));
  return settled;
}

void SettledWords::keep_only(const std::vector<std::int64_t>& rows) {
  std::vector<std::int64_t> words, agreed;
  for (const std::int64_t row : rows) {
    const auto first = row * length_;
    words.insert(words.end(), words_.begin() + first, words_.begin() + first + length_);
    agreed.insert(agreed.end(), agreed_.begin() + first, agreed_.begin() + first + length_);
  }
  words_ = std::move(words);
  agreed_ = std::move(agreed);
}

}  // namespace capdiff
