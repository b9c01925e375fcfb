#pragma once

#include <atomic>
#include <cstddef>
#include <memory>

namespace capdiff {

/// A number of things, or bytes, that may be taken at the same time. What is taken comes back when the last copy of its
/// ticket is gone; an allowance outlives its tickets.
class Allowance {
 public:
  using Ticket = std::shared_ptr<void>;

  explicit Allowance(std::size_t limit) : limit_(limit) {}
  Allowance(const Allowance&) = delete;
  Allowance& operator=(const Allowance&) = delete;

  /// A ticket for `count`, or null where that many are not left.
  Ticket take(std::size_t count);
  std::size_t taken() const { return taken_.load(); }
  bool exhausted() const { return taken() >= limit_; }

 private:
  const std::size_t limit_;
  std::atomic<std::size_t> taken_{0};
};

}  // namespace capdiff
