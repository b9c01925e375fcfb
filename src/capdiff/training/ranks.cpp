#include "capdiff/training/ranks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>
#include <thread>
#include <vector>

#include "capdiff/base/error.h"
#include "capdiff/training/c10d.h"
#include "capdiff/training/signs_of_life.h"

namespace capdiff {
namespace {

using Seconds = std::chrono::seconds;
using SteadyClock = std::chrono::steady_clock;

constexpr Seconds kLongestSilence(10);
constexpr int kBeatsToDiagnose = 6;

/// "rank 3", "ranks 1, 2".
std::string names_of(const std::vector<int>& ranks) {
  return fmt::format("{} {}", ranks.size() == 1 ? "rank" : "ranks", fmt::join(ranks, ", "));
}

/// Sleeps between two looks at a counter: shortly at first.
class Patience {
 public:
  void pause() {
    std::this_thread::sleep_for(pause_);
    pause_ = std::min(pause_ * 2, std::chrono::microseconds(20'000));
  }

 private:
  std::chrono::microseconds pause_{200};
};

}  // namespace

struct Ranks::Joined {
  Joined(const RankEnvironment& where, torch::Device device, Seconds limit)
      : environment(where),
        timeout(limit),
        silence(std::min(limit, kLongestSilence)),
        counters(open()),
        life(counters, where),
        heartbeat(where, limit) {
    wait_for_all();
    talk("the first meeting", [&] { collectives.emplace(counters, where, device, limit); });
  }

  std::string place() const { return fmt::format("{}:{}", environment.master, environment.port); }

  SharedCounters open() const {
    try {
      return SharedCounters(environment, environment.rank == 0, timeout);
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {
      if (environment.rank == 0) {
        fail(ErrorCode::io, "rank 0 cannot open the meeting place {} (MASTER_ADDR, MASTER_PORT): {}", place(),
             error.what());
      }
      fail(ErrorCode::io, "rank {} has not reached rank 0 at {} within {} s: {}", environment.rank, place(),
           timeout.count(), error.what());
    }
  }

  void wait_for_all() {
    const SteadyClock::time_point deadline = SteadyClock::now() + timeout;
    ask([&] { counters.add(counter_of("here", environment.rank), 1); });
    Patience patience;
    for (;;) {
      std::vector<int> missing;
      ask([&] {
        for (int rank = 0; rank < environment.size; ++rank) {
          if (counters.get(counter_of("here", rank)) == 0) missing.push_back(rank);
        }
      });
      if (missing.empty()) return;
      if (SteadyClock::now() > deadline) {
        fail(ErrorCode::io, "{} of {} did not come to {} within {} s", names_of(missing), environment.size, place(),
             timeout.count());
      }
      patience.pause();
    }
  }

  /// Runs a question to the counters, which are lost with the process that keeps them.
  template <class Question>
  void ask(const Question& question) const {
    try {
      question();
    } catch (const std::exception& error) {
      fail(ErrorCode::io, "{} at {} is lost: {}", environment.hosted ? "the launcher" : "rank 0", place(),
           error.what());
    }
  }

  /// Waits for `done`, as long as everybody gives signs of life.
  void wait_until(const std::function<bool()>& done) {
    life.restart();
    Patience patience;
    SteadyClock::time_point listen_at = SteadyClock::now() + kBeat;
    for (;;) {
      bool reached = false;
      ask([&] { reached = done(); });
      if (reached) return;
      if (SteadyClock::now() > listen_at) {
        ask([&] { life.listen(); });
        if (const auto lost = given_up(); !lost.empty()) fail_lost(lost, "another rank says so");
        const std::vector<int> lost = life.silent_since(SteadyClock::now() - silence);
        if (!lost.empty()) fail_lost(lost, fmt::format("silent for {} s", silence.count()));
        listen_at = SteadyClock::now() + kBeat;
      }
      patience.pause();
    }
  }

  /// Those that another rank has found lost. That rank ends, too, and must not be mistaken for the cause.
  std::vector<int> given_up() {
    std::vector<int> ranks;
    ask([&] {
      for (int rank = 0; rank < environment.size; ++rank) {
        if (counters.get(counter_of("lost", rank)) > 0) ranks.push_back(rank);
      }
    });
    return ranks;
  }

  [[noreturn]] void fail_lost(const std::vector<int>& lost, std::string_view reason) {
    ask([&] {
      for (const int rank : lost) counters.add(counter_of("lost", rank), 1);
    });
    if (environment.rank == 0) std::this_thread::sleep_for(2 * kBeat);  // the others still ask who it was
    fail(ErrorCode::io, "{} of {} is lost ({}); start again to go on from the last checkpoint", names_of(lost),
         environment.size, reason);
  }

  /// Runs a collective operation; where it fails, finds out who is no longer there.
  template <class Operation>
  void talk(std::string_view name, const Operation& operation) {
    try {
      operation();
    } catch (const std::exception& error) {
      diagnose(name, error.what());
    }
  }

  [[noreturn]] void diagnose(std::string_view name, const std::string& reason) {
    ask([&] { life.listen(); });
    const SteadyClock::time_point failed = SteadyClock::now();
    const SteadyClock::time_point end = failed + kBeatsToDiagnose * kBeat;
    while (SteadyClock::now() < end && !life.silent_since(failed).empty()) {
      if (const auto lost = given_up(); !lost.empty()) fail_lost(lost, reason);
      std::this_thread::sleep_for(kBeat / 4);
      ask([&] { life.listen(); });
    }
    const std::vector<int> lost = life.silent_since(failed);
    if (!lost.empty()) fail_lost(lost, reason);
    fail(ErrorCode::io, "{} failed on rank {} although all ranks are alive; it may take {} s: {}", name,
         environment.rank, timeout.count(), reason);
  }

  /// All ranks arrive, the leader decides, all learn the decision, and the leader leaves last: nobody needs the
  /// counters when it has.
  std::int64_t meet(const std::function<std::int64_t()>& decide) {
    const std::string name = fmt::format("meeting/{}", meetings++);
    const std::string arrived = name + "/arrived", decision = name + "/decision", left = name + "/left";
    ask([&] { counters.add(arrived, 1); });
    std::int64_t value = 0;
    if (environment.rank != 0) {
      wait_until([&] { return (value = counters.get(decision)) != 0; });
      ask([&] { counters.add(left, 1); });
      return value - 1;
    }
    wait_until([&] { return counters.get(arrived) == environment.size; });
    value = decide();
    ask([&] { counters.add(decision, value + 1); });
    wait_until([&] { return counters.get(left) == environment.size - 1; });
    for (const std::string& counter : {arrived, decision, left}) ask([&] { counters.remove(counter); });
    return value;
  }

  RankEnvironment environment;
  Seconds timeout;
  Seconds silence;  // of a rank, after which it counts as lost
  SharedCounters counters;
  SignsOfLife life;
  Heartbeat heartbeat;
  std::optional<Collectives> collectives;
  std::int64_t meetings = 0;
};

Ranks::Ranks() = default;

Ranks::Ranks(const RankEnvironment& environment, torch::Device device, Seconds timeout) : environment_(environment) {
  if (environment.size == 1) return;
  joined_ = std::make_unique<Joined>(environment, device, timeout);
  spdlog::info("rank {} of {} has met the others at {}", rank(), size(), joined_->place());
}

Ranks::~Ranks() = default;

void Ranks::meet() {
  if (joined_) joined_->meet([] { return 0; });
}

bool Ranks::leader_says(bool value) {
  return joined_ ? joined_->meet([value] { return value ? 1 : 0; }) == 1 : value;
}

void Ranks::require_same(std::uint64_t value, std::string_view what) {
  if (!joined_) return;
  const std::string purpose = fmt::format("same/{}", joined_->meetings);
  // Half of the bits are enough, and no sum of a counter overflows.
  const auto expected = static_cast<std::int64_t>(value >> 32);
  SharedCounters& counters = joined_->counters;
  joined_->ask([&] { counters.add(counter_of(purpose, rank()), expected); });
  // Of the others the first that differs; 0 where none does.
  const std::int64_t other = joined_->meet([&]() -> std::int64_t {
    std::int64_t different = 0;
    joined_->ask([&] {
      for (int of = 1; of < size() && different == 0; ++of) {
        if (counters.get(counter_of(purpose, of)) != expected) different = of;
      }
    });
    return different;
  });
  if (other != 0) fail(ErrorCode::internal, "{} of rank {} differ from those of rank 0", what, other);
}

void Ranks::sum(torch::Tensor tensor) {
  if (joined_) joined_->talk("a sum over all ranks", [&] { joined_->collectives->sum(tensor); });
}

std::int64_t Ranks::max(std::int64_t value) {
  if (!joined_) return value;
  const torch::Tensor largest = torch::full({1}, value, torch::kInt64);
  joined_->talk("a maximum over all ranks", [&] { joined_->collectives->max(largest); });
  return largest.item<std::int64_t>();
}

torch::Device Ranks::device() const {
  return joined_ ? joined_->collectives->device() : torch::Device(torch::kCPU);
}

}  // namespace capdiff
