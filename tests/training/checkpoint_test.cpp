#include "capdiff/training/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <memory>
#include <sstream>

#include "capdiff/base/error.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;

CheckpointTensors tensors_of(float value) {
  return {{"weights", {{"w", HostTensor::of({2}, {value, value})}}}, {"optimizer", {{"m", HostTensor::scalar(value)}}}};
}

void save(const fs::path& folder, std::int64_t step) {
  save_checkpoint(folder, {.step = step, .items = 5}, tensors_of(static_cast<float>(step)));
}

float weight_of(const Checkpoint& checkpoint) {
  return checkpoint.file("weights").tensor("w").values<float>()[0];
}

TEST(Checkpoint, ComesBackAsItWas) {
  const test::TemporaryFolder folder;
  const TrainingState state{.step = 7,
                            .draw = 56,
                            .items = 10,
                            .seed = std::numeric_limits<std::uint64_t>::max(),
                            .skipped = 2,
                            .seconds = 1.5};
  save_checkpoint(folder.path() / "stage", state, tensors_of(0.5f));
  const auto checkpoint = latest_checkpoint(folder.path() / "stage");
  ASSERT_TRUE(checkpoint);
  EXPECT_EQ(checkpoint->path.filename(), "step-000007");
  EXPECT_EQ(checkpoint->state.step, 7);
  EXPECT_EQ(checkpoint->state.draw, 56u);
  EXPECT_EQ(checkpoint->state.items, 10);
  EXPECT_EQ(checkpoint->state.seed, state.seed);
  EXPECT_EQ(checkpoint->state.skipped, 2);
  EXPECT_EQ(checkpoint->state.seconds, 1.5);
  EXPECT_EQ(weight_of(*checkpoint), 0.5f);
  test::expect_error(ErrorCode::invalid_model, "ema", [&] { checkpoint->file("ema"); });
}

TEST(Checkpoint, TheNewestTwoAreKept) {
  const test::TemporaryFolder folder;
  for (const std::int64_t step : {9, 10, 999999, 1000000}) save(folder.path(), step);
  EXPECT_EQ(latest_checkpoint(folder.path())->state.step, 1000000);
  EXPECT_TRUE(fs::exists(folder.path() / "step-999999"));
  EXPECT_FALSE(fs::exists(folder.path() / "step-000010"));
}

TEST(Checkpoint, AsManyAreKeptAsAskedFor) {
  const test::TemporaryFolder folder;
  for (const std::int64_t step : {1, 2, 3, 4}) {
    save_checkpoint(folder.path(), {.step = step, .items = 5}, tensors_of(1.0f), /*keep=*/3);
  }
  EXPECT_FALSE(fs::exists(folder.path() / "step-000001"));
  EXPECT_TRUE(fs::exists(folder.path() / "step-000002"));
}

TEST(Checkpoint, NoneIsNothing) {
  const test::TemporaryFolder folder;
  EXPECT_FALSE(latest_checkpoint(folder.path()));
  EXPECT_FALSE(latest_checkpoint(folder.path() / "absent"));
}

/// Ways in which the newest checkpoint may be broken; the one before is then taken.
class BrokenCheckpoint : public ::testing::TestWithParam<void (*)(const fs::path&)> {};

void without_state(const fs::path& path) {
  fs::remove(path / "state.json");
}
void without_weights(const fs::path& path) {
  fs::remove(path / "weights.safetensors");
}
void with_truncated_weights(const fs::path& path) {
  fs::resize_file(path / "weights.safetensors", 20);
}
void with_half_a_state(const fs::path& path) {
  fs::resize_file(path / "state.json", 15);
}
void with_a_flipped_byte(const fs::path& path) {
  std::fstream file(path / "optimizer.safetensors", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-1, std::ios::end);
  file.put('\x55');
}
void with_weights_of_another_step(const fs::path& path) {
  fs::copy_file(path.parent_path() / "step-000001" / "weights.safetensors", path / "weights.safetensors",
                fs::copy_options::overwrite_existing);
}
void with_more_weights(const fs::path& path) {
  write_safetensors(path / "weights.safetensors",
                    {{"w", HostTensor::of({2}, {2.0f, 2.0f})}, {"more", HostTensor::scalar(2.0f)}});
}
void with_weights_of_another_shape(const fs::path& path) {
  write_safetensors(path / "weights.safetensors", {{"w", HostTensor::of({1, 2}, {2.0f, 2.0f})}});
}
void with_nothing(const fs::path& path) {
  fs::remove_all(path);
  fs::create_directory(path);
}

INSTANTIATE_TEST_SUITE_P(Ways, BrokenCheckpoint,
                         ::testing::Values(without_state, without_weights, with_truncated_weights, with_half_a_state,
                                           with_a_flipped_byte, with_weights_of_another_step, with_more_weights,
                                           with_weights_of_another_shape, with_nothing));

TEST_P(BrokenCheckpoint, IsPassedOver) {
  const test::TemporaryFolder folder;
  save(folder.path(), 1);
  save(folder.path(), 2);
  GetParam()(folder.path() / "step-000002");
  const auto checkpoint = latest_checkpoint(folder.path());
  ASSERT_TRUE(checkpoint);
  EXPECT_EQ(weight_of(*checkpoint), 1.0f);
  save(folder.path(), 2);  // takes the place of the broken one
  EXPECT_EQ(weight_of(*latest_checkpoint(folder.path())), 2.0f);
}

TEST(Checkpoint, AHalfWrittenOneIsNotSeen) {
  const test::TemporaryFolder folder;
  save(folder.path(), 1);
  fs::create_directory(folder.path() / ".step-000002.partial");
  std::ofstream(folder.path() / ".step-000002.partial" / "weights.safetensors") << "half";
  EXPECT_EQ(latest_checkpoint(folder.path())->state.step, 1);
  save(folder.path(), 2);
  EXPECT_EQ(latest_checkpoint(folder.path())->state.step, 2);
  EXPECT_FALSE(fs::exists(folder.path() / ".step-000002.partial"));
}

TEST(Checkpoint, TheDamagedTensorIsNamed) {
  const test::TemporaryFolder folder;
  save(folder.path(), 2);
  with_a_flipped_byte(folder.path() / "step-000002");
  std::ostringstream log;
  const auto previous = spdlog::default_logger();
  spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log)));
  EXPECT_FALSE(latest_checkpoint(folder.path()));
  spdlog::set_default_logger(previous);
  EXPECT_THAT(log.str(), testing::HasSubstr("optimizer.safetensors: tensor m is damaged"));
}

/// A disk with room for `bytes` more of any file: exits with 0 where saving fails with an `Error(io)`.
[[noreturn]] void save_on_a_full_disk(const fs::path& folder, rlim_t bytes) {
  const rlimit limit{bytes, bytes};
  ::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &limit);
  try {
    save(folder, 2);
  } catch (const Error& error) {
    std::_Exit(error.code() == ErrorCode::io ? 0 : 2);
  }
  std::_Exit(1);
}

TEST(Checkpoint, AFullDiskIsAnErrorAndLeavesTheOneBefore) {
  const test::TemporaryFolder folder;
  save(folder.path(), 1);
  for (const rlim_t bytes : {0, 100, 300}) {  // in the header, in the tensors, in state.json
    const pid_t child = ::fork();
    if (child == 0) save_on_a_full_disk(folder.path(), bytes);
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << "with room for " << bytes << " bytes";
    EXPECT_EQ(latest_checkpoint(folder.path())->state.step, 1);
    EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 1) << "something is left";
  }
}

TEST(Checkpoint, AFolderThatCannotBeWrittenIsAnError) {
  const test::TemporaryFolder folder;
  const fs::path file = folder.write("file", "not a folder");
  test::expect_error(ErrorCode::io, file.string(), [&] { save(file, 1); });
}

}  // namespace
}  // namespace capdiff
