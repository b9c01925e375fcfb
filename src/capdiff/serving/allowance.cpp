#include "capdiff/serving/allowance.h"

namespace capdiff {

Allowance::Ticket Allowance::take(std::size_t count) {
  std::size_t taken = taken_.load();
  do {
    if (count > limit_ || taken > limit_ - count) return nullptr;
  } while (!taken_.compare_exchange_weak(taken, taken + count));
  return {this, [count](Allowance* allowance) { allowance->taken_ -= count; }};
}

}  // namespace capdiff
