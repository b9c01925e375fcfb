#include "capdiff/serving/request_ids.h"

#include <fmt/format.h>

#include <random>

namespace capdiff {

RequestIds::RequestIds() : start_((std::uint64_t{std::random_device()()} << 32) | std::random_device()()) {}

std::string RequestIds::next() {
  // A bijection of the counter (the finaliser of SplitMix64), so that names are distinct.
  std::uint64_t z = start_ + 0x9e3779b97f4a7c15u * ++count_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return fmt::format("req-{:016x}", z ^ (z >> 31));
}

}  // namespace capdiff
