#include "capdiff/training/rank_environment.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/support/expect_error.h"

namespace capdiff::test {
namespace {

using Variables = std::map<std::string, std::string>;

RankEnvironment read_from(const Variables& variables) {
  return read_rank_environment([&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  });
}

void expect_place(const RankEnvironment& found, int rank, int size, int local_rank, const std::string& master,
                  int port) {
  EXPECT_EQ(found.rank, rank);
  EXPECT_EQ(found.size, size);
  EXPECT_EQ(found.local_rank, local_rank);
  EXPECT_EQ(found.master, master);
  EXPECT_EQ(found.port, port);
}

void expect_refused(const std::string& part, const Variables& variables) {
  expect_error(ErrorCode::usage, part, [&] { read_from(variables); });
}

const Variables kTorchrun{
    {"RANK", "5"}, {"WORLD_SIZE", "8"}, {"LOCAL_RANK", "1"}, {"MASTER_ADDR", "node3"}, {"MASTER_PORT", "29400"}};

Variables with(Variables variables, const std::string& name, const std::string& value) {
  variables[name] = value;
  return variables;
}

Variables without(Variables variables, const std::string& name) {
  variables.erase(name);
  return variables;
}

TEST(RankEnvironment, IsOneProcessWithoutALauncher) {
  expect_place(read_from({}), 0, 1, 0, "", 0);
  expect_place(read_from({{"RANK", "0"}, {"WORLD_SIZE", "1"}}), 0, 1, 0, "", 0);
  expect_place(read_from({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "1"}, {"SLURM_LOCALID", "0"}}), 0, 1, 0, "", 0);
}

TEST(RankEnvironment, UnderstandsTorchrun) {
  expect_place(read_from(kTorchrun), 5, 8, 1, "node3", 29400);
  EXPECT_FALSE(read_from(kTorchrun).hosted);
  const RankEnvironment restarted =
      read_from(with(with(kTorchrun, "TORCHELASTIC_USE_AGENT_STORE", "True"), "TORCHELASTIC_RESTART_COUNT", "2"));
  EXPECT_TRUE(restarted.hosted);
  EXPECT_EQ(restarted.attempt, 2);
  expect_place(read_from(without(kTorchrun, "MASTER_PORT")), 5, 8, 1, "node3", 29500);
}

TEST(RankEnvironment, UnderstandsOpenMpi) {
  const Variables one_machine{{"OMPI_COMM_WORLD_RANK", "2"},
                              {"OMPI_COMM_WORLD_SIZE", "3"},
                              {"OMPI_COMM_WORLD_LOCAL_RANK", "2"},
                              {"OMPI_COMM_WORLD_LOCAL_SIZE", "3"}};
  expect_place(read_from(one_machine), 2, 3, 2, "127.0.0.1", 29500);
  const Variables several = with(one_machine, "OMPI_COMM_WORLD_LOCAL_SIZE", "1");
  expect_refused("MASTER_ADDR is not set", several);
  expect_place(read_from(with(several, "MASTER_ADDR", "10.0.0.1")), 2, 3, 2, "10.0.0.1", 29500);
  // mpirun inside of a SLURM allocation, whose own variables say nothing of this process.
  expect_place(read_from(with(with(one_machine, "SLURM_PROCID", "0"), "SLURM_NTASKS", "9")), 2, 3, 2, "127.0.0.1",
               29500);
}

TEST(RankEnvironment, UnderstandsSlurm) {
  const Variables slurm{{"SLURM_PROCID", "3"},
                        {"SLURM_NTASKS", "4"},
                        {"SLURM_LOCALID", "1"},
                        {"SLURM_NODELIST", "gpu[07-08]"},
                        {"SLURM_LAUNCH_NODE_IPADDR", "10.1.1.1"}};
  expect_place(read_from(slurm), 3, 4, 1, "gpu07", 29500);
  expect_place(read_from(with(slurm, "SLURM_STEP_NODELIST", "gpu08")), 3, 4, 1, "gpu08", 29500);
  expect_place(read_from(with(slurm, "MASTER_ADDR", "login")), 3, 4, 1, "login", 29500);
  expect_place(read_from(without(slurm, "SLURM_NODELIST")), 3, 4, 1, "10.1.1.1", 29500);
  expect_refused("MASTER_ADDR", without(without(slurm, "SLURM_NODELIST"), "SLURM_LAUNCH_NODE_IPADDR"));
}

TEST(RankEnvironment, FindsTheFirstHostOfASlurmList) {
  EXPECT_EQ(first_slurm_host("node1"), "node1");
  EXPECT_EQ(first_slurm_host("node1,node2"), "node1");
  EXPECT_EQ(first_slurm_host("node[1-4]"), "node1");
  EXPECT_EQ(first_slurm_host("node[007,009-12],login"), "node007");
  EXPECT_EQ(first_slurm_host("rack[2-3]-node[10-12].example"), "rack2-node10.example");
  for (const char* broken : {"", ",", "node[1-4"}) {
    expect_error(ErrorCode::usage, "SLURM_NODELIST", [&] { first_slurm_host(broken); });
  }
}

TEST(RankEnvironment, NamesTheVariableThatIsWrong) {
  expect_refused("WORLD_SIZE is not", without(kTorchrun, "WORLD_SIZE"));
  expect_refused("RANK is not", without(kTorchrun, "RANK"));
  expect_refused("LOCAL_RANK is not", without(kTorchrun, "LOCAL_RANK"));
  expect_refused("MASTER_ADDR is not set", without(kTorchrun, "MASTER_ADDR"));
  expect_refused("MASTER_ADDR is not set", with(kTorchrun, "MASTER_ADDR", ""));
  expect_refused("RANK=8: expected an integer of 0 to 7", with(kTorchrun, "RANK", "8"));
  expect_refused("RANK=-1", with(kTorchrun, "RANK", "-1"));
  expect_refused("RANK=2x", with(kTorchrun, "RANK", "2x"));
  expect_refused("WORLD_SIZE=0", with(kTorchrun, "WORLD_SIZE", "0"));
  expect_refused("WORLD_SIZE=", with(kTorchrun, "WORLD_SIZE", ""));
  expect_refused("MASTER_PORT=70000", with(kTorchrun, "MASTER_PORT", "70000"));
  expect_refused("SLURM_LOCALID is not", {{"SLURM_PROCID", "1"}, {"SLURM_NTASKS", "2"}, {"SLURM_NODELIST", "node1"}});
}

}  // namespace
}  // namespace capdiff::test
