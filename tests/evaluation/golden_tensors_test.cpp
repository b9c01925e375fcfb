#include "capdiff/evaluation/golden_tensors.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/support/temporary_folder.h"

namespace capdiff {
namespace {

class GoldenTensorsTest : public testing::Test {
 protected:
  GoldenTensors opened(const std::map<std::string, HostTensor>& tensors) {
    write_safetensors(folder_.path() / "golden.safetensors", tensors);
    return {SafetensorsFile::open(folder_.path() / "golden.safetensors"),
            [](const std::string&) {
              return Tolerance{0.01, 0.1};
            },
            report_};
  }

  test::TemporaryFolder folder_;
  GoldenReport report_;
};

TEST_F(GoldenTensorsTest, ToleratesSoMuchAndASharePerElement) {
  GoldenTensors tensors = opened({{"a", HostTensor::of({2}, {0.0f, 10.0f})}});
  EXPECT_TRUE(tensors.compare("a", HostTensor::of({1, 2}, {0.009f, 10.9f})).pass);
  EXPECT_FALSE(tensors.compare("a", HostTensor::of({2}, {0.02f, 10.0f})).pass);
  EXPECT_FALSE(tensors.compare("a", HostTensor::of({2}, {0.0f, std::numeric_limits<float>::quiet_NaN()})).pass);
  EXPECT_FALSE(tensors.compare("a", HostTensor::of({3}, {0.0f, 10.0f, 0.0f})).pass);
  EXPECT_NEAR(report_.checks[0].max_abs, 0.9, 1e-6);
  EXPECT_NEAR(report_.checks[0].max_rel, 0.09, 1e-6);
}

TEST_F(GoldenTensorsTest, IdsMustBeEqual) {
  GoldenTensors tensors = opened({{"ids", HostTensor::of({2}, std::vector<std::int64_t>{1000, 7})}});
  EXPECT_TRUE(tensors.compare("ids", HostTensor::of({2}, std::vector<std::int64_t>{1000, 7})).pass);
  EXPECT_FALSE(tensors.compare("ids", HostTensor::of({2}, std::vector<std::int64_t>{1001, 7})).pass);
}

TEST_F(GoldenTensorsTest, NothingIsPassedOver) {
  const HostTensor one = HostTensor::scalar(1.0f);
  GoldenTensors tensors = opened({{"noise", one}, {"grads.a", one}, {"result", one}, {"other", one}});
  EXPECT_EQ(tensors.input("noise").values<float>()[0], 1.0f);
  tensors.compare("result", one);
  tensors.compare_if_stored("sometimes", one);
  tensors.compare("missing", one);
  tensors.skip("grads.");
  tensors.finish();
  ASSERT_EQ(report_.checks.size(), 3u);
  EXPECT_TRUE(report_.checks[0].pass);
  EXPECT_EQ(report_.checks[1].name, "missing");
  EXPECT_FALSE(report_.checks[1].pass);
  EXPECT_EQ(report_.checks[2].name, "other");
  EXPECT_FALSE(report_.checks[2].pass);
  EXPECT_EQ(report_.skipped, std::vector<std::string>{"grads.a"});
}

TEST_F(GoldenTensorsTest, InputsThatCanBeComputedAreListedWhereTheyDiffer) {
  GoldenTensors tensors = opened({{"mask", HostTensor::scalar(1.0f)}});
  tensors.input("mask", HostTensor::scalar(1.0f));
  EXPECT_TRUE(report_.checks.empty());
  tensors.input("mask", HostTensor::scalar(0.0f));
  EXPECT_EQ(report_.failed(), 1u);
}

TEST_F(GoldenTensorsTest, StacksAlongANewAxis) {
  const HostTensor stack = stacked({HostTensor::of({2}, {1.0f, 2.0f}), HostTensor::of({2}, {3.0f, 4.0f})});
  EXPECT_EQ(stack.shape(), (Shape{2, 2}));
  EXPECT_EQ(stack.values<float>()[2], 3.0f);
}

}  // namespace
}  // namespace capdiff
