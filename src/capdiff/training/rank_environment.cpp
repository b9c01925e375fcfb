#include "capdiff/training/rank_environment.h"

#include <charconv>
#include <cstdlib>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

constexpr int kMaxRanks = 1 << 16;
constexpr int kDefaultPort = 29500;
constexpr int kMaxAttempts = 1'000'000;

/// The variables in which a launcher says who a process is.
struct LauncherVariables {
  const char* rank;
  const char* size;
  const char* local_rank;
};

constexpr LauncherVariables kTorchrun{"RANK", "WORLD_SIZE", "LOCAL_RANK"};
constexpr LauncherVariables kOpenMpi{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"};
constexpr LauncherVariables kSlurm{"SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"};

int parse_number(const std::string& name, const std::string& text, int min, int max) {
  int value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || value < min || value > max) {
    fail(ErrorCode::usage, "{}={}: expected an integer of {} to {}", name, text, min, max);
  }
  return value;
}

/// A number that must be there because `present` is.
int require_number(const EnvironmentLookup& lookup, const std::string& name, const char* present, int min, int max) {
  const std::optional<std::string> text = lookup(name);
  if (!text) fail(ErrorCode::usage, "{} is set but {} is not: the launcher must give both", present, name);
  return parse_number(name, *text, min, max);
}

RankEnvironment read_variables(const EnvironmentLookup& lookup, const LauncherVariables& names) {
  RankEnvironment environment;
  environment.size = require_number(lookup, names.size, names.rank, 1, kMaxRanks);
  environment.rank = require_number(lookup, names.rank, names.size, 0, environment.size - 1);
  if (lookup(names.local_rank) || environment.size > 1) {
    environment.local_rank = require_number(lookup, names.local_rank, names.rank, 0, environment.size - 1);
  }
  return environment;
}

std::string find_master(const EnvironmentLookup& lookup, const LauncherVariables& names, int size) {
  if (const auto given = lookup("MASTER_ADDR"); given && !given->empty()) return *given;
  if (names.rank == kSlurm.rank) {
    for (const char* name : {"SLURM_STEP_NODELIST", "SLURM_NODELIST"}) {
      if (const auto list = lookup(name); list && !list->empty()) return first_slurm_host(*list);
    }
    if (const auto address = lookup("SLURM_LAUNCH_NODE_IPADDR"); address && !address->empty()) return *address;
  }
  if (names.rank == kOpenMpi.rank && lookup("OMPI_COMM_WORLD_LOCAL_SIZE") == std::to_string(size)) return "127.0.0.1";
  fail(ErrorCode::usage, "MASTER_ADDR is not set: {} = {} processes need the host of rank 0 to meet at", names.size,
       size);
}

}  // namespace

std::string first_slurm_host(const std::string& list) {
  std::string host;
  for (std::size_t i = 0; i < list.size() && list[i] != ','; ++i) {
    if (list[i] != '[') {
      host += list[i];
      continue;
    }
    // Of "[07-09,12]" the first number.
    const std::size_t end = list.find(']', i);
    if (end == std::string::npos) fail(ErrorCode::usage, "SLURM_NODELIST={}: a bracket is not closed", list);
    host += list.substr(i + 1, list.find_first_of("-,]", i + 1) - i - 1);
    i = end;
  }
  if (host.empty()) fail(ErrorCode::usage, "SLURM_NODELIST={}: there is no host in it", list);
  return host;
}

RankEnvironment read_rank_environment(const EnvironmentLookup& lookup) {
  for (const LauncherVariables& names : {kTorchrun, kOpenMpi, kSlurm}) {
    if (!lookup(names.rank) && !lookup(names.size)) continue;
    RankEnvironment environment = read_variables(lookup, names);
    if (environment.size == 1) return environment;
    environment.master = find_master(lookup, names, environment.size);
    const std::optional<std::string> port = lookup("MASTER_PORT");
    environment.port = static_cast<std::uint16_t>(port ? parse_number("MASTER_PORT", *port, 1, 65535) : kDefaultPort);
    environment.hosted = names.rank == kTorchrun.rank && lookup("TORCHELASTIC_USE_AGENT_STORE") == "True";
    if (const auto attempt = lookup("TORCHELASTIC_RESTART_COUNT"); attempt && environment.hosted) {
      environment.attempt = parse_number("TORCHELASTIC_RESTART_COUNT", *attempt, 0, kMaxAttempts);
    }
    return environment;
  }
  return {};
}

RankEnvironment read_rank_environment() {
  return read_rank_environment([](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  });
}

}  // namespace capdiff
