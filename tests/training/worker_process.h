#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <string>

#include "capdiff/training/optimisation_options.h"

namespace capdiff::test {

/// What a process of its own trains: `Regression`, with the options of an optimiser, in `folder`.
struct WorkerTask {
  std::filesystem::path folder;
  OptimisationOptions options;
  float dropout = 0.0f;
  int pause = 0;  ///< microseconds of rest in every step
  int rank = 0;
  int size = 1;
  int poisoned = -1;  ///< the rank whose first loss is not a number
  int port = 0;       ///< where the ranks meet
  int timeout = 60;   ///< of the ranks, in seconds
};

/// A process that trains, forked from this one. It leaves `folder`/checkpoints, and its final weights in
/// `folder`/weights-RANK.safetensors. LibTorch has one thread there: those of this process are not forked with it.
class WorkerProcess {
 public:
  explicit WorkerProcess(const WorkerTask& task);
  /// Kills it where it still runs.
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  pid_t id() const { return process_; }
  void signal(int number) const;
  bool running();
  /// Its exit code, or 128 + n where signal n ended it. After `limit` it is killed.
  int wait(std::chrono::seconds limit = std::chrono::seconds(60));
  /// All that it printed.
  std::string output() const;

 private:
  std::filesystem::path log_;
  pid_t process_ = -1;
  int status_ = 0;
};

/// The options that the workers' tests share: eight steps would do, so `steps` is for the test to choose.
OptimisationOptions worker_options(std::int64_t steps, std::int64_t batch);

}  // namespace capdiff::test
