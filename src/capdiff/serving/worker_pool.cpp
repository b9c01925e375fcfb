#include "capdiff/serving/worker_pool.h"

namespace capdiff {

WorkerPool::WorkerPool(std::size_t threads) {
  for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

WorkerPool::~WorkerPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void WorkerPool::post(std::function<void()> run, std::function<bool()> unwanted) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back({std::move(run), std::move(unwanted)});
  }
  changed_.notify_one();
}

void WorkerPool::drop_unwanted() {
  const std::lock_guard lock(mutex_);
  std::erase_if(tasks_, [](const Task& task) { return task.unwanted(); });
}

void WorkerPool::work() {
  for (;;) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
    if (stopping_) return;
    const Task task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    if (!task.unwanted()) task.run();
  }
}

}  // namespace capdiff
