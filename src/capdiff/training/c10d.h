#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "capdiff/backends/torch/torch_headers.h"
#include "capdiff/training/rank_environment.h"

namespace capdiff {

// LibTorch's library for processes that work together, c10d. All that its versions 1.13 and 2.x do differently, and
// whether this build has it at all, stays in c10d.cpp. Its exceptions come through as they are: `Ranks` knows what they
// mean.

/// Counters that all ranks see. Rank 0 keeps them, or the launcher where it hosts the meeting place.
class SharedCounters {
 public:
  /// Rank 0 opens the port; the others try to reach it until `timeout`. `keeper` false: only another connection. Throws
  /// `Error(unsupported)` where this build has no c10d with Gloo.
  SharedCounters(const RankEnvironment& environment, bool keeper, std::chrono::seconds timeout);
  ~SharedCounters();

  /// Adds to a counter, which begins at 0, and returns its new value.
  std::int64_t add(const std::string& name, std::int64_t amount);
  std::int64_t get(const std::string& name) { return add(name, 0); }
  void remove(const std::string& name);

 private:
  friend class Collectives;
  struct Store;
  std::unique_ptr<Store> store_;
};

/// Sums over all ranks: with Gloo for tensors in host memory, with NCCL, where this build has it, for those of a GPU.
/// Every rank gets the same bits.
class Collectives {
 public:
  /// Blocks until all ranks are there.
  Collectives(const SharedCounters& counters, const RankEnvironment& environment, torch::Device device,
              std::chrono::seconds timeout);
  ~Collectives();

  /// Where tensors to be added up live: the GPU with NCCL, otherwise the host.
  torch::Device device() const;
  /// Replaces a contiguous tensor on the host or on `device()` by its sum, or maximum, over all ranks.
  void sum(torch::Tensor tensor);
  void max(torch::Tensor tensor);

 private:
  struct Groups;
  std::unique_ptr<Groups> groups_;
};

}  // namespace capdiff
