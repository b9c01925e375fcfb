#include "capdiff/training/checkpoint.h"

#include <gtest/gtest.h>

#include <fstream>
#include <limits>

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
void with_nothing(const fs::path& path) {
  fs::remove_all(path);
  fs::create_directory(path);
}

INSTANTIATE_TEST_SUITE_P(Ways, BrokenCheckpoint,
                         ::testing::Values(without_state, without_weights, with_truncated_weights, with_half_a_state,
                                           with_a_flipped_byte, with_nothing));

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

TEST(Checkpoint, AFolderThatCannotBeWrittenIsAnError) {
  const test::TemporaryFolder folder;
  const fs::path file = folder.write("file", "not a folder");
  test::expect_error(ErrorCode::io, file.string(), [&] { save(file, 1); });
}

}  // namespace
}  // namespace capdiff
