#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "capdiff/backends/torch/torch_headers.h"
#include "capdiff/training/rank_environment.h"

namespace capdiff {

/// The processes that train one model together. All of them make the same calls in the same order. Rank 0 leads: it
/// alone writes files.
///
/// Every rank gives a sign of life twice a second. A rank that does not come, dies or hangs is an `Error(io)` on all
/// others that names its number: at the start after `timeout`, later ten seconds after its last sign at the latest. A
/// rank that may be waited for, because the leader is busy, has no other limit; a sum may take `timeout`.
class Ranks {
 public:
  /// One process on its own. Costs nothing.
  Ranks();
  /// Waits for all others.
  Ranks(const RankEnvironment& environment, torch::Device device, std::chrono::seconds timeout);
  ~Ranks();
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;

  int rank() const { return environment_.rank; }
  int size() const { return environment_.size; }
  /// The number of the GPU that this rank uses.
  int local_rank() const { return environment_.local_rank; }
  bool alone() const { return environment_.size == 1; }
  bool leads() const { return environment_.rank == 0; }

  /// Returns once all ranks have called it; the leader last.
  void meet();
  /// The leader's value, once all ranks have asked for it.
  bool leader_says(bool value);
  /// Throws `Error(internal)` that names the ranks whose value is not the leader's. `what` is "the weights".
  void require_same(std::uint64_t value, std::string_view what);

  /// Replaces a contiguous tensor, on the host or on `device()`, by its sum over all ranks.
  void sum(torch::Tensor tensor);
  std::int64_t max(std::int64_t value);
  /// Where tensors are added up fastest.
  torch::Device device() const;

 private:
  struct Joined;

  RankEnvironment environment_;
  std::unique_ptr<Joined> joined_;  // null where this process is alone
};

}  // namespace capdiff
