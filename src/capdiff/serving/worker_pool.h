#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace capdiff {

/// Threads that run tasks in the order in which they come. Tasks throw nothing.
class WorkerPool {
 public:
  explicit WorkerPool(std::size_t threads);
  /// Finishes the tasks that run, and drops those that wait.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// Adds a task. One that is `unwanted` when its turn comes does not run.
  void post(std::function<void()> run, std::function<bool()> unwanted);
  /// Lets go of tasks that wait and are unwanted by now.
  void drop_unwanted();

 private:
  struct Task {
    std::function<void()> run;
    std::function<bool()> unwanted;
  };

  void work();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> tasks_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace capdiff
