#include "capdiff/base/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <thread>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kKeptOutput = std::size_t{64} << 10;

/// A pipe whose ends are closed on all ways out.
class Pipe {
 public:
  Pipe() {
    if (::pipe2(ends_, O_CLOEXEC) != 0) fail(ErrorCode::io, "cannot open a pipe: {}", system_message(errno));
  }
  ~Pipe() {
    close_end(0);
    close_end(1);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  int end(int which) const { return ends_[which]; }
  void close_end(int which) {
    if (ends_[which] >= 0) ::close(ends_[which]);
    ends_[which] = -1;
  }

 private:
  int ends_[2] = {-1, -1};
};

/// What a process is started with.
class SpawnActions {
 public:
  SpawnActions(int output, const std::filesystem::path& working_folder) {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions_, output, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions_, output, STDERR_FILENO);
    if (!working_folder.empty()) ::posix_spawn_file_actions_addchdir_np(&actions_, working_folder.c_str());
  }
  ~SpawnActions() { ::posix_spawn_file_actions_destroy(&actions_); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

int exit_code_of(int status) {
  constexpr int kSignalled = 128;
  return WIFEXITED(status) ? WEXITSTATUS(status) : kSignalled + WTERMSIG(status);
}

/// Reads until the process closes its output; false where time is up before.
bool read_output(int descriptor, Clock::time_point deadline, std::string& output) {
  constexpr std::size_t kBlock = 4096;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    pollfd waiting{descriptor, POLLIN, 0};
    constexpr std::int64_t kLongestWait = 60'000;
    const int ready = ::poll(&waiting, 1, static_cast<int>(std::min<std::int64_t>(left, kLongestWait)));
    if (ready < 0 && errno != EINTR) fail(ErrorCode::io, "cannot wait for a program: {}", system_message(errno));
    if (ready <= 0) continue;
    char block[kBlock];
    const ssize_t got = ::read(descriptor, block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(ErrorCode::io, "cannot read what a program writes: {}", system_message(errno));
    if (got == 0) return true;
    output.append(block, static_cast<std::size_t>(got));
    if (output.size() > 2 * kKeptOutput) output.erase(0, output.size() - kKeptOutput);
  }
}

/// Whether the process ends before time is up.
bool wait_for(pid_t process, Clock::time_point deadline, int& status) {
  constexpr std::chrono::milliseconds kPause(10);
  for (;;) {
    const pid_t ended = ::waitpid(process, &status, WNOHANG);
    if (ended == process) return true;
    if (ended < 0 && errno != EINTR) fail(ErrorCode::io, "cannot wait for a program: {}", system_message(errno));
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace

std::optional<ProcessResult> run_process(const std::vector<std::string>& arguments,
                                         const std::filesystem::path& working_folder, std::chrono::seconds timeout) {
  if (arguments.empty()) fail(ErrorCode::internal, "no program was named");
  Pipe pipe;
  std::vector<char*> pointers;
  for (const std::string& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  const SpawnActions actions(pipe.end(1), working_folder);
  pid_t process = 0;
  const int error = ::posix_spawnp(&process, pointers[0], actions.get(), nullptr, pointers.data(), environ);
  if (error == ENOENT || error == EACCES || error == ENOTDIR || error == ENOEXEC) return std::nullopt;
  if (error != 0) fail(ErrorCode::io, "cannot start {}: {}", arguments[0], system_message(error));
  pipe.close_end(1);

  ProcessResult result;
  const Clock::time_point deadline = Clock::now() + timeout;
  int status = 0;
  const bool in_time = read_output(pipe.end(0), deadline, result.output) && wait_for(process, deadline, status);
  if (!in_time) {
    result.timed_out = true;
    ::kill(process, SIGKILL);
    while (::waitpid(process, &status, 0) < 0 && errno == EINTR) {
    }
  }
  result.exit_code = exit_code_of(status);
  if (result.output.size() > kKeptOutput) result.output.erase(0, result.output.size() - kKeptOutput);
  return result;
}

PrivateFolder::PrivateFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "capdiff-XXXXXX").string();
  if (!::mkdtemp(name.data())) fail(ErrorCode::io, "cannot create a folder like {}: {}", name, system_message(errno));
  path_ = name;
}

PrivateFolder::~PrivateFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace capdiff
