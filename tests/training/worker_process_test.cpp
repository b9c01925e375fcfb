#include "tests/training/worker_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "capdiff/training/interruption.h"
#include "capdiff/training/trainer.h"
#include "tests/support/command.h"
#include "tests/training/regression.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTaskVariable = "CAPDIFF_TEST_TASK";

/// Not a test: what a `WorkerProcess` runs.
TEST(WorkerProcessBody, DISABLED_Trains) {
  const char* text = std::getenv(kTaskVariable);
  if (text == nullptr) GTEST_SKIP() << "only for WorkerProcess";
  const nlohmann::json task = nlohmann::json::parse(text);
  const fs::path folder = task.at("folder").get<std::string>();
  OptimisationOptions options = worker_options(task.at("steps"), task.at("batch"));
  options.accumulate = task.at("accumulate");
  options.checkpoint_every = task.at("checkpoint_every");
  const RankEnvironment environment{task.at("rank"), task.at("size"), task.at("rank"), "127.0.0.1", task.at("port")};
  const auto backend = make_torch_backend({.threads = 1});
  backend->set_trainable([](const std::string&) { return true; });
  Regression objective(*backend, task.at("dropout"));
  const std::chrono::microseconds pause(task.at("pause").get<int>());
  objective.on_losses = [pause] { std::this_thread::sleep_for(pause); };
  if (task.at("poisoned") == environment.rank) objective.poisoned = [](int call) { return call == 0; };
  try {
    const auto ranks =
        std::make_shared<Ranks>(environment, torch::kCPU, std::chrono::seconds(task.at("timeout").get<int>()));
    train(objective, *backend, options,
          {.stage = "line",
           .checkpoints = folder / "checkpoints",
           .metrics = folder / "metrics.jsonl",
           .seed = 9,
           .ranks = ranks});
    write_safetensors(folder / fmt::format("weights-{}.safetensors", environment.rank), backend->state());
  } catch (const Interrupted& interrupted) {
    fmt::print("{}\n", interrupted.what());
    std::fflush(stdout);
    std::_Exit(128 + interrupted.signal());
  } catch (const Error& error) {
    FAIL() << error.what();
  }
}

int code_of(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

WorkerProcess::WorkerProcess(const WorkerTask& task) : log_(task.folder / fmt::format("worker-{}.txt", task.rank)) {
  const nlohmann::json text = {{"folder", task.folder.string()},
                               {"steps", task.options.steps},
                               {"batch", task.options.batch},
                               {"accumulate", task.options.accumulate},
                               {"checkpoint_every", task.options.checkpoint_every},
                               {"dropout", task.dropout},
                               {"pause", task.pause},
                               {"poisoned", task.poisoned},
                               {"rank", task.rank},
                               {"size", task.size},
                               {"port", task.port},
                               {"timeout", task.timeout}};
  const std::string variable = text.dump();
  process_ = ::fork();
  if (process_ != 0) return;
  ::setenv(kTaskVariable, variable.c_str(), 1);
  ::unsetenv("GTEST_OUTPUT");
  const int log = ::open(log_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
  ::dup2(log, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  ::execl("/proc/self/exe", "capdiff-torch-tests", "--gtest_filter=WorkerProcessBody.DISABLED_Trains",
          "--gtest_also_run_disabled_tests", nullptr);
  ::_exit(127);
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

int free_test_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ::bind(socket, reinterpret_cast<sockaddr*>(&address), size);
  ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(socket);
  return ntohs(address.sin_port);
}

}  // namespace capdiff::test
