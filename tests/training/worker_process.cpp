#include "tests/training/worker_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>

#include "capdiff/base/interruption.h"
#include "capdiff/formats/safetensors.h"
#include "capdiff/training/trainer.h"
#include "tests/support/command.h"
#include "tests/training/regression.h"

namespace capdiff::test {
namespace {

/// What the process does.
void train_alone(const WorkerTask& task) {
  const RankEnvironment environment{task.rank, task.size, task.rank, "127.0.0.1",
                                    static_cast<std::uint16_t>(task.port)};
  const auto backend = make_torch_backend({.threads = 1});
  backend->set_trainable([](const std::string&) { return true; });
  Regression objective(*backend, task.dropout);
  objective.on_losses = [pause = std::chrono::microseconds(task.pause)] { std::this_thread::sleep_for(pause); };
  if (task.poisoned == task.rank) objective.poisoned = [](int call) { return call == 0; };
  const auto ranks = std::make_shared<Ranks>(environment, torch::kCPU, std::chrono::seconds(task.timeout));
  train(objective, *backend, task.options,
        {.stage = "line",
         .checkpoints = task.folder / "checkpoints",
         .metrics = task.folder / "metrics.jsonl",
         .seed = 9,
         .ranks = ranks});
  write_safetensors(task.folder / fmt::format("weights-{}.safetensors", task.rank), backend->state());
  ranks->meet();
}

/// As the program would: the error is printed, and the exit code tells what happened.
int exit_code_of_training(const WorkerTask& task) {
  try {
    train_alone(task);
    return 0;
  } catch (const Interrupted& interrupted) {
    fmt::print(stderr, "{}\n", interrupted.what());
    return 128 + interrupted.signal();
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}

int code_of(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

WorkerProcess::WorkerProcess(const WorkerTask& task) : log_(task.folder / fmt::format("worker-{}.txt", task.rank)) {
  std::fflush(nullptr);  // or both processes would write what is still in the buffers
  process_ = ::fork();
  if (process_ != 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int log = ::open(log_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
  ::dup2(log, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  const int code = exit_code_of_training(task);
  std::fflush(nullptr);
  std::_Exit(code);
}

WorkerProcess::~WorkerProcess() {
  if (!running()) return;
  signal(SIGKILL);
  ::waitpid(process_, &status_, 0);
}

void WorkerProcess::signal(int number) const {
  if (process_ > 0) ::kill(process_, number);
}

bool WorkerProcess::running() {
  if (process_ > 0 && ::waitpid(process_, &status_, WNOHANG) == process_) process_ = -1;
  return process_ > 0;
}

int WorkerProcess::wait(std::chrono::seconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (running()) {
    if (std::chrono::steady_clock::now() > end) signal(SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return code_of(status_);
}

std::string WorkerProcess::output() const {
  return read_text_bytes(log_);
}

OptimisationOptions worker_options(std::int64_t steps, std::int64_t batch) {
  OptimisationOptions options;
  options.steps = steps;
  options.batch = batch;
  options.learning_rate = 0.05;
  options.warmup = 0.1;
  options.gradient_clip = 5;
  options.ema = 0.9;
  options.log_every = 10;
  return options;
}

}  // namespace capdiff::test
