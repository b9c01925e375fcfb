#include "capdiff/serving/batcher.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

constexpr std::chrono::milliseconds kLookForAbandoned{50};

/// Equal for options that draw in the same way; empty where a job cannot share its run.
std::string kind_of_run(const CaptionJob& job) {
  if (job.sentence || job.options.watch) return {};
  nlohmann::json json = to_json(job.options);
  if (job.options.length) json["length"] = *job.options.length;
  return json.dump();
}

bool all_abandoned(const std::vector<CaptionJob>& jobs) {
  return std::ranges::all_of(jobs, [](const CaptionJob& job) { return job.abandoned(); });
}

}  // namespace

Batcher::Batcher(Captioner& captioner, BatcherOptions options, std::function<void(const BatchRecord&)> report)
    : captioner_(captioner),
      options_(options),
      report_(std::move(report)),
      thread_([this] { compute_until_stopped(); }) {}

Batcher::~Batcher() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Batcher::submit(CaptionJob job) {
  std::string kind = kind_of_run(job);
  const std::size_t bytes = job.image.rgb.size();
  std::unique_lock lock(mutex_);
  const auto has_room = [&] {
    return stopping_ || queue_.empty() || waiting_bytes_ + bytes <= options_.max_waiting_bytes;
  };
  while (!changed_.wait_for(lock, kLookForAbandoned, has_room)) {
    if (job.abandoned()) return;
    if (drop_abandoned_locked()) changed_.notify_all();
  }
  if (stopping_) return;
  waiting_bytes_ += bytes;
  queue_.push_back({std::move(job), std::move(kind), Clock::now()});
  lock.unlock();
  changed_.notify_all();
}

bool Batcher::drop_abandoned_locked() {
  const auto dropped = std::erase_if(queue_, [this](const Waiting& waiting) {
    const bool abandoned = waiting.job.abandoned();
    if (abandoned) waiting_bytes_ -= waiting.job.image.rgb.size();
    return abandoned;
  });
  return dropped > 0;
}

void Batcher::drop_abandoned() {
  {
    const std::lock_guard lock(mutex_);
    if (!drop_abandoned_locked()) return;
  }
  changed_.notify_all();
}

std::size_t Batcher::waiting_like_first() const {
  const std::string& kind = queue_.front().kind;
  if (kind.empty()) return 1;
  return static_cast<std::size_t>(std::ranges::count(queue_, kind, &Waiting::kind));
}

std::vector<CaptionJob> Batcher::next_batch() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
  if (stopping_) return {};
  const std::string kind = queue_.front().kind;
  const auto candidates = static_cast<std::size_t>(queue_.front().job.options.candidates);
  const std::size_t room = kind.empty() ? 1 : std::max<std::size_t>(1, options_.max_rows / candidates);
  changed_.wait_until(lock, queue_.front().since + options_.max_wait,
                      [&] { return stopping_ || queue_.empty() || waiting_like_first() >= room; });
  if (stopping_) return {};
  std::vector<CaptionJob> batch;
  for (auto waiting = queue_.begin(); waiting != queue_.end() && batch.size() < room;) {
    const bool alike = kind.empty() ? batch.empty() : waiting->kind == kind;
    if (!alike) {
      ++waiting;
      continue;
    }
    waiting_bytes_ -= waiting->job.image.rgb.size();
    waiting->job.place.reset();
    if (!waiting->job.abandoned()) batch.push_back(std::move(waiting->job));
    waiting = queue_.erase(waiting);
    if (kind.empty()) break;
  }
  lock.unlock();
  changed_.notify_all();
  return batch;
}

void Batcher::compute_until_stopped() {
  while (!stopping_)
    if (std::vector<CaptionJob> batch = next_batch(); !batch.empty()) compute(std::move(batch));
}

std::vector<Caption> Batcher::captions_of(std::vector<CaptionJob>& batch) {
  GenerationOptions options = batch.front().options;
  options.watch = [&, watch = std::move(options.watch)](const WatchedCall& call) {
    if (stopping_ || all_abandoned(batch)) fail(ErrorCode::io, "nobody waits for these captions any more");
    if (watch) watch(call);
  };
  if (batch.front().sentence) return {captioner_.fill(batch.front().image, *batch.front().sentence, options)};
  std::vector<Image> images;
  for (CaptionJob& job : batch) images.push_back(std::move(job.image));
  try {
    return captioner_.caption(images, options);
  } catch (...) {
    for (std::size_t i = 0; i < batch.size(); ++i) batch[i].image = std::move(images[i]);
    throw;
  }
}

void Batcher::compute(std::vector<CaptionJob> batch) {
  const auto start = Clock::now();
  std::vector<Caption> captions;
  try {
    captions = captions_of(batch);
  } catch (...) {
    if (stopping_ || all_abandoned(batch)) return;
    if (batch.size() == 1) return batch.front().failed(std::current_exception());
    // One picture's failure is not the others'.
    for (CaptionJob& job : batch) {
      std::vector<CaptionJob> single;
      single.push_back(std::move(job));
      compute(std::move(single));
    }
    return;
  }
  report_({batch.size(), std::chrono::duration<double>(Clock::now() - start).count()});
  for (std::size_t i = 0; i < batch.size(); ++i)
    if (!batch[i].abandoned()) batch[i].done(std::move(captions[i]));
}

}  // namespace capdiff
