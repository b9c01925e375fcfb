#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace capdiff {

/// Which of several training processes this one is, and where they meet.
struct RankEnvironment {
  int rank = 0;
  int size = 1;        ///< processes in all
  int local_rank = 0;  ///< among those of the same machine: which GPU is this one's
  std::string master;  ///< host of rank 0; empty where there is only one process
  std::uint16_t port = 0;
  bool hosted = false;  ///< whether the launcher keeps the meeting place open, and not rank 0
  int attempt = 0;      ///< how often such a launcher has started all processes again
};

/// The value of an environment variable, or nothing where it is not set.
using EnvironmentLookup = std::function<std::optional<std::string>(const std::string& name)>;

/// Reads what a launcher has left in the environment; of several the first counts:
/// - torchrun and `capdiff launch`: RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT; where torchrun also sets
///   TORCHELASTIC_USE_AGENT_STORE to True, it listens at that port itself;
/// - Open MPI's mpirun: OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE, OMPI_COMM_WORLD_LOCAL_RANK, and MASTER_ADDR unless
///   all processes share a machine;
/// - SLURM's srun: SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID; the meeting place is MASTER_ADDR, else the first host of
///   SLURM_STEP_NODELIST or SLURM_NODELIST, else SLURM_LAUNCH_NODE_IPADDR.
///
/// MASTER_PORT is 29500 where it is not given. Without a launcher there is one process. Throws `Error(usage)` that
/// names the variable which is missing or makes no sense.
RankEnvironment read_rank_environment(const EnvironmentLookup& lookup);

/// That of this process.
RankEnvironment read_rank_environment();

/// The first host of a list as SLURM writes it: "node07" of "node[07-09,12],login".
std::string first_slurm_host(const std::string& list);

}  // namespace capdiff
