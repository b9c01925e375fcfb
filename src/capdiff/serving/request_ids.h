#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace capdiff {

/// Names of requests: "req-" and a number that no other request of this process has.
class RequestIds {
 public:
  RequestIds();

  std::string next();

 private:
  const std::uint64_t start_;
  std::atomic<std::uint64_t> count_{0};
};

}  // namespace capdiff
