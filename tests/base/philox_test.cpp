#include "capdiff/base/philox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <numbers>
#include <vector>

namespace capdiff {
namespace {

using ::testing::ElementsAre;

std::vector<float> noise(const NoiseStream& stream, std::size_t count) {
  std::vector<float> values(count);
  stream.fill(values);
  return values;
}

// The known answers published with Random123.
TEST(Philox, KnownAnswers) {
  constexpr std::uint32_t kOnes = 0xffffffff;
  EXPECT_THAT(philox4x32({0, 0, 0, 0}, {0, 0}), ElementsAre(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
  EXPECT_THAT(philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
              ElementsAre(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
  EXPECT_THAT(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
              ElementsAre(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1));
}

TEST(NoiseStream, ElementsDoNotDependOnHowTheyAreFetched) {
  const NoiseStream stream(1, 2, 3, 4);
  const std::vector<float> whole = noise(stream, 23);
  for (std::size_t first = 0; first < whole.size(); ++first) {
    std::vector<float> part(whole.size() - first);
    stream.fill(part, first);
    for (std::size_t i = 0; i < part.size(); ++i) ASSERT_EQ(part[i], whole[first + i]) << first << " + " << i;
  }
}

TEST(NoiseStream, EveryPartOfTheKeyMatters) {
  const std::vector<float> base = noise(NoiseStream(1, 2, 3, 4), 8);
  EXPECT_EQ(noise(NoiseStream(1, 2, 3, 4), 8), base);
  for (const NoiseStream& other :
       {NoiseStream(2, 2, 3, 4), NoiseStream(1, 3, 3, 4), NoiseStream(1, 2, 4, 4), NoiseStream(1, 2, 3, 5),
        NoiseStream(1 + (1ull << 32), 2, 3, 4), NoiseStream(1, 2 + (1ull << 32), 3, 4)}) {
    const std::vector<float> values = noise(other, 8);
    for (std::size_t i = 0; i < values.size(); ++i) EXPECT_NE(values[i], base[i]);
  }
}

// The arithmetic of the class documentation once more, with the mathematical library instead of series.
TEST(NoiseStream, IsBoxMullerOverPhilox) {
  const std::uint64_t seed = 0x0123456789abcdef, content = 0xfedcba9876543210;
  const auto key = philox4x32({1, 0, 0, 0}, {0x89abcdef, 0x01234567});
  const auto identity = philox4x32({0x76543210, 0xfedcba98, 7, 999}, {key[0], key[1]});
  const std::vector<float> values = noise(NoiseStream(seed, content, 7, 999), 4000);
  for (std::uint32_t block = 0; block < 1000; ++block) {
    const auto words = philox4x32({block, 0, identity[2], identity[3]}, {identity[0], identity[1]});
    for (std::size_t pair = 0; pair < 2; ++pair) {
      const double u = (words[2 * pair] + 1.0) / 4294967296.0;
      const double angle = 2 * std::numbers::pi * (words[2 * pair + 1] / 4294967296.0);
      const double radius = std::sqrt(-2 * std::log(u));
      EXPECT_NEAR(values[4 * block + 2 * pair], radius * std::cos(angle), 3e-7);
      EXPECT_NEAR(values[4 * block + 2 * pair + 1], radius * std::sin(angle), 3e-7);
    }
  }
}

// Captions are reproducible across machines and versions only as long as these bits stay.
TEST(NoiseStream, BitsAreFixed) {
  const std::vector<float> values = noise(NoiseStream(0, 0, 0, 0), 4);
  std::vector<std::uint32_t> bits;
  for (const float value : values) bits.push_back(std::bit_cast<std::uint32_t>(value));
  EXPECT_THAT(bits, ElementsAre(0xbf1196cd, 0x3f38ba83, 0xbf44c1e0, 0x3f9c3a61));
}

TEST(NoiseStream, HasTheMomentsOfTheNormalDistribution) {
  constexpr std::size_t kCount = 1 << 20;
  const std::vector<float> values = noise(NoiseStream(42, 7, 0, 0), kCount);
  double sum = 0, squares = 0, cubes = 0, fourths = 0, neighbours = 0, inside = 0;
  for (std::size_t i = 0; i < kCount; ++i) {
    const double x = values[i];
    sum += x;
    squares += x * x;
    cubes += x * x * x;
    fourths += x * x * x * x;
    neighbours += x * values[(i + 1) % kCount];
    inside += std::abs(x) < 1;
  }
  constexpr double kSigma = 1.0 / 1024;  // 1 / sqrt(kCount)
  EXPECT_NEAR(sum / kCount, 0, 4 * kSigma);
  EXPECT_NEAR(squares / kCount, 1, 4 * std::sqrt(2.0) * kSigma);
  EXPECT_NEAR(cubes / kCount, 0, 4 * std::sqrt(15.0) * kSigma);
  EXPECT_NEAR(fourths / kCount, 3, 4 * std::sqrt(96.0) * kSigma);
  EXPECT_NEAR(neighbours / kCount, 0, 4 * kSigma);
  EXPECT_NEAR(inside / kCount, 0.6826894921, 4 * 0.466 * kSigma);
}

TEST(RandomStream, IsASequenceOfItsOwnForEachKey) {
  RandomStream a(1, 2, 3), again(1, 2, 3);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(a.next_u32(), again.next_u32());
  const std::uint64_t first = RandomStream(1, 2, 3).next_u64();
  EXPECT_NE(RandomStream(2, 2, 3).next_u64(), first);
  EXPECT_NE(RandomStream(1, 3, 3).next_u64(), first);
  EXPECT_NE(RandomStream(1, 2, 4).next_u64(), first);
}

TEST(RandomStream, UniformStaysInItsInterval) {
  RandomStream random(5, 0, 0);
  double sum = 0;
  for (int i = 0; i < 10'000; ++i) {
    const double value = random.uniform();
    ASSERT_GE(value, 0);
    ASSERT_LT(value, 1);
    sum += value;
    const double scaled = random.uniform(-2, 3);
    ASSERT_GE(scaled, -2);
    ASSERT_LE(scaled, 3);
  }
  EXPECT_NEAR(sum / 10'000, 0.5, 0.012);
}

TEST(RandomStream, BelowIsUniform) {
  RandomStream random(6, 0, 0);
  std::vector<int> counts(7);
  for (int i = 0; i < 70'000; ++i) ++counts.at(random.below(7));
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 400);
  EXPECT_EQ(random.below(1), 0u);
}

// With n = 3 * 2^62 plain remainders would fall into the lowest third twice as often as into each other third.
TEST(RandomStream, BelowHasNoModuloBias) {
  constexpr std::uint64_t kThird = std::uint64_t{1} << 62;
  RandomStream random(7, 0, 0);
  int lowest = 0;
  for (int i = 0; i < 30'000; ++i) lowest += random.below(3 * kThird) < kThird;
  EXPECT_NEAR(lowest, 10'000, 350);
}

TEST(RandomStream, NormalHasUnitVariance) {
  RandomStream random(8, 0, 0);
  double sum = 0, squares = 0;
  for (int i = 0; i < 20'000; ++i) {
    const double x = random.normal();
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / 20'000, 0, 0.03);
  EXPECT_NEAR(squares / 20'000, 1, 0.04);
}

}  // namespace
}  // namespace capdiff
