#include <fmt/format.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/capdiff/command.h"
#include "capdiff/base/error.h"
#include "capdiff/base/network_port.h"

namespace capdiff::app {
namespace {

/// How long the other workers have to end by themselves after one has died.
constexpr std::chrono::seconds kGrace(10);
constexpr int kMaxWorkers = 1024;

struct LaunchOptions {
  int workers = 0;
  std::optional<int> port;
  std::string recipe;
};

int available_processors() {
  cpu_set_t set;
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

/// The environment of one worker, as torchrun would set it. Processors are divided among the workers unless
/// OMP_NUM_THREADS or the recipe says otherwise.
std::vector<std::string> worker_environment(int rank, int workers, int port) {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (const std::size_t equals = text.find('='); equals != std::string::npos) {
      variables[text.substr(0, equals)] = text.substr(equals + 1);
    }
  }
  variables.try_emplace("OMP_NUM_THREADS", std::to_string(std::max(1, available_processors() / workers)));
  variables["RANK"] = variables["LOCAL_RANK"] = std::to_string(rank);
  variables["WORLD_SIZE"] = variables["LOCAL_WORLD_SIZE"] = std::to_string(workers);
  variables["MASTER_ADDR"] = "127.0.0.1";
  variables["MASTER_PORT"] = std::to_string(port);
  std::vector<std::string> environment;
  for (const auto& [name, value] : variables) environment.push_back(fmt::format("{}={}", name, value));
  return environment;
}

/// "ended with exit status 1", "was killed by signal 9 (Killed)".
std::string describe_end(int status) {
  if (WIFEXITED(status)) return fmt::format("ended with exit status {}", WEXITSTATUS(status));
  return fmt::format("was killed by signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
}

int exit_code_of_status(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : kSignalled + WTERMSIG(status);
}

/// The worker processes of one training, from their start to the end of the last one.
class Workers {
 public:
  /// Signals that end the training, and ends of workers, are taken from now on by `watch`.
  Workers() {
    ::sigemptyset(&watched_);
    for (const int signal : {SIGINT, SIGTERM, SIGCHLD}) ::sigaddset(&watched_, signal);
    ::sigprocmask(SIG_BLOCK, &watched_, &previous_);
  }
  ~Workers() { ::sigprocmask(SIG_SETMASK, &previous_, nullptr); }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  /// `arguments` are those of capdiff-train.
  void start(int rank, const std::vector<std::string>& arguments, const std::vector<std::string>& environment) {
    const pid_t launcher = ::getpid();
    const pid_t process = ::fork();
    if (process < 0) {
      const int error = errno;
      end_all(SIGKILL);
      fail(ErrorCode::io, "process {} cannot be started: {}", rank, system_message(error));
    }
    if (process == 0) become_worker(launcher, arguments, environment);
    fmt::print(stderr, "capdiff: rank {} is process {}\n", rank, process);
    running_[process] = rank;
  }

  /// Returns the exit code of the training once all workers have ended.
  int watch() {
    while (!running_.empty()) {
      const timespec pause{1, 0};
      const int signal = ::sigtimedwait(&watched_, nullptr, &pause);
      if (signal == SIGINT || signal == SIGTERM) {
        interrupted_ = signal;
        end_all(signal);
      }
      reap();
      if (killing_at_ && std::chrono::steady_clock::now() > *killing_at_) end_all(SIGKILL);
    }
    return interrupted_ != 0 && code_ == 0 ? kSignalled + interrupted_ : code_;
  }

 private:
  /// Has a process group of its own, so that Ctrl-C reaches it once, through the launcher, and ends with the launcher.
  [[noreturn]] void become_worker(pid_t launcher, const std::vector<std::string>& arguments,
                                  const std::vector<std::string>& environment) const {
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != launcher) ::_exit(kSignalled + SIGTERM);
    ::sigprocmask(SIG_SETMASK, &previous_, nullptr);
    std::vector<char*> variables;
    for (const std::string& variable : environment) variables.push_back(const_cast<char*>(variable.c_str()));
    variables.push_back(nullptr);
    environ = variables.data();
    try {
      execute_train(arguments, "launching");
    } catch (const Error& error) {
      fmt::print(stderr, "capdiff: {}\n", error.what());
    }
    std::fflush(stderr);
    ::_exit(kFailed);
  }

  void end_all(int signal) const {
    for (const auto& [process, rank] : running_) ::kill(process, signal);
  }

  void reap() {
    int status = 0;
    for (pid_t process = 0; (process = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      const auto worker = running_.find(process);
      if (worker == running_.end()) continue;
      if (const int code = exit_code_of_status(status); code != 0 && code_ == 0) {
        code_ = code;
        if (interrupted_ == 0 || code != kSignalled + interrupted_) report(worker->second, process, status);
      }
      running_.erase(worker);
    }
  }

  /// Of the first worker that failed; the others cannot go on without it.
  void report(int rank, pid_t process, int status) {
    fmt::print(stderr, "capdiff: rank {} (process {}) {}; the others are stopped\n", rank, process,
               describe_end(status));
    end_all(SIGTERM);
    killing_at_ = std::chrono::steady_clock::now() + kGrace;
  }

  sigset_t watched_{}, previous_{};
  std::map<pid_t, int> running_;  // rank of each process
  int interrupted_ = 0;           // the signal that was passed on
  int code_ = 0;                  // of the first worker that failed
  std::optional<std::chrono::steady_clock::time_point> killing_at_;
};

int launch(const LaunchOptions& options, const std::vector<std::string>& train_options) {
  std::vector<std::string> arguments{"train", options.recipe};
  arguments.insert(arguments.end(), train_options.begin(), train_options.end());
  const int port = options.port ? *options.port : free_port();
  Workers workers;
  for (int rank = 0; rank < options.workers; ++rank) {
    workers.start(rank, arguments, worker_environment(rank, options.workers, port));
  }
  return workers.watch();
}

}  // namespace

void add_launch(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("launch", "Train with several processes of this machine (runs capdiff-train several times)");
  const auto options = std::make_shared<LaunchOptions>();
  command->add_option("--nproc", options->workers, "Processes")
      ->required()
      ->check(CLI::Range(1, kMaxWorkers))
      ->type_name("N");
  command->add_option("--port", options->port, "Port of 127.0.0.1 where they meet (default: a free one)")
      ->check(CLI::Range(1, 65535))
      ->type_name("P");
  command->add_option("RECIPE", options->recipe, "A recipe; options of 'capdiff train' may follow")->required();
  command->allow_extras();
  command->callback(
      [&action, options, command] { action = [options, command] { return launch(*options, command->remaining()); }; });
}

}  // namespace capdiff::app
