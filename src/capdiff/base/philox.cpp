#include "capdiff/base/philox.h"

#include <bit>
#include <cassert>
#include <cmath>
#include <cstddef>

// Results must not depend on whether the compiler fuses multiplications and additions; GCC is told by
// -ffp-contract=off.
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

namespace capdiff {
namespace {

using Words = std::array<std::uint32_t, 4>;

/// Keeps the two kinds of streams apart when they are given the same seed.
enum class Domain : std::uint32_t { noise = 1, sequence = 2 };

/// 128 bits that identify a stream: half of them become the key, half the upper words of the counter.
Words identify(std::uint64_t seed, Domain domain, Words what) {
  const Words key = philox4x32({static_cast<std::uint32_t>(domain), 0, 0, 0},
                               {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
  return philox4x32(what, {key[0], key[1]});
}

Words block_of(const Words& identity, std::uint64_t block) {
  return philox4x32(
      {static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32), identity[2], identity[3]},
      {identity[0], identity[1]});
}

/// Value at x of the polynomial whose coefficients are given, lowest power first.
template <std::size_t N>
double polynomial(const std::array<double, N>& coefficients, double x) {
  double value = coefficients[N - 1];
  for (std::size_t i = N - 1; i-- > 0;) value = value * x + coefficients[i];
  return value;
}

/// 1, 1/3, 1/5, ...: atanh(s) / s in powers of s^2.
constexpr auto kAtanh = [] {
  std::array<double, 11> coefficients{};
  for (std::size_t i = 0; i < coefficients.size(); ++i) coefficients[i] = 1.0 / static_cast<double>(2 * i + 1);
  return coefficients;
}();

/// Taylor coefficients of cosine (first = 0) or sine (first = 1) in powers of x^2: (-1)^i / (2i + first)!.
constexpr std::array<double, 9> taylor(int first) {
  std::array<double, 9> coefficients{};
  double factorial = 1;  // exact up to 18!
  for (int i = 0, n = first; i < 9; ++i, n += 2) {
    if (i > 0) factorial *= static_cast<double>(n) * (n - 1);
    coefficients[static_cast<std::size_t>(i)] = (i % 2 ? -1.0 : 1.0) / factorial;
  }
  return coefficients;
}
constexpr std::array<double, 9> kCosine = taylor(0);
constexpr std::array<double, 9> kSine = taylor(1);

/// Natural logarithm of n * 2^-32, n in [1, 2^32], to about one unit in the last place of a double. With m in
/// [sqrt(1/2), sqrt(2)) and s = (m - 1) / (m + 1), ln m = 2 (s + s^3/3 + s^5/5 + ...); s^2 < 0.03.
double log_of_fraction(std::uint64_t n) {
  constexpr double kLn2 = 0.693147180559945309417232121458;
  constexpr double kSqrt2 = 1.41421356237309504880168872421;
  constexpr std::uint64_t kMantissa = (std::uint64_t{1} << 52) - 1;
  constexpr std::uint64_t kOne = std::uint64_t{1023} << 52;
  const auto bits = std::bit_cast<std::uint64_t>(static_cast<double>(n));
  double m = std::bit_cast<double>((bits & kMantissa) | kOne);
  int exponent = static_cast<int>(bits >> 52) - 1023 - 32;
  if (m > kSqrt2) {
    m *= 0.5;
    ++exponent;
  }
  const double s = (m - 1) / (m + 1);
  return exponent * kLn2 + 2 * s * polynomial(kAtanh, s * s);
}

struct SineCosine {
  double sine;
  double cosine;
};

/// Sine and cosine of n * 2^-32 of a full turn: Taylor series on [-pi/4, pi/4], where their remainders are below 2^-53,
/// and quarter turns exactly.
SineCosine sine_cosine_of_turn(std::uint32_t n) {
  constexpr double kRadians = 6.28318530717958647692528676656 / 4294967296.0;
  const std::uint32_t quarter = (n + 0x20000000u) >> 30;
  const auto offset = static_cast<std::int32_t>(n - (quarter << 30));
  const double x = offset * kRadians;
  const double sine = x * polynomial(kSine, x * x);
  const double cosine = polynomial(kCosine, x * x);
  switch (quarter) {
    case 0: return {sine, cosine};
    case 1: return {cosine, -sine};
    case 2: return {-sine, -cosine};
    default: return {-cosine, sine};
  }
}

struct NormalPair {
  double first;
  double second;
};

/// Box and Muller (1958): sqrt(-2 ln u) (cos 2 pi v, sin 2 pi v), u = (a + 1) 2^-32 in (0, 1], v = b 2^-32 in [0, 1).
NormalPair box_muller(std::uint32_t a, std::uint32_t b) {
  const double radius = std::sqrt(-2 * log_of_fraction(std::uint64_t{a} + 1));
  const SineCosine angle = sine_cosine_of_turn(b);
  return {radius * angle.cosine, radius * angle.sine};
}

}  // namespace

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  constexpr std::uint64_t kMultiplier0 = 0xd2511f53;
  constexpr std::uint64_t kMultiplier1 = 0xcd9e8d57;
  constexpr std::uint32_t kWeyl0 = 0x9e3779b9;  // the golden ratio
  constexpr std::uint32_t kWeyl1 = 0xbb67ae85;  // sqrt(3) - 1
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = kMultiplier0 * counter[0];
    const std::uint64_t product1 = kMultiplier1 * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(product0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

NoiseStream::NoiseStream(std::uint64_t seed, std::uint64_t content, std::uint32_t candidate, std::uint32_t step)
    : identity_(identify(
          seed, Domain::noise,
          {static_cast<std::uint32_t>(content), static_cast<std::uint32_t>(content >> 32), candidate, step})) {}

void NoiseStream::fill(std::span<float> out, std::uint64_t first) const {
  std::size_t written = 0;
  while (written < out.size()) {
    const std::uint64_t element = first + written;
    const Words words = block_of(identity_, element / 4);
    const NormalPair low = box_muller(words[0], words[1]);
    const NormalPair high = box_muller(words[2], words[3]);
    const std::array<double, 4> normals = {low.first, low.second, high.first, high.second};
    for (std::size_t lane = element % 4; lane < 4 && written < out.size(); ++lane)
      out[written++] = static_cast<float>(normals[lane]);
  }
}

RandomStream::RandomStream(std::uint64_t seed, std::uint32_t stream, std::uint64_t index)
    : identity_(identify(seed, Domain::sequence,
                         {static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), stream, 0})) {}

std::uint32_t RandomStream::next_u32() {
  if (used_ == 4) {
    words_ = block_of(identity_, block_++);
    used_ = 0;
  }
  return words_[static_cast<std::size_t>(used_++)];
}

std::uint64_t RandomStream::next_u64() {
  const std::uint64_t low = next_u32();
  return low | (std::uint64_t{next_u32()} << 32);
}

double RandomStream::uniform() {
  return static_cast<double>(next_u64() >> 11) * 0x1p-53;
}

std::uint64_t RandomStream::below(std::uint64_t n) {
  assert(n > 0);
  // The lowest 2^64 mod n values are refused, so that every remainder stands for equally many of the rest.
  const std::uint64_t refused = (0 - n) % n;
  while (true) {
    const std::uint64_t value = next_u64();
    if (value >= refused) return value % n;
  }
}

double RandomStream::normal() {
  const std::uint32_t a = next_u32();
  return box_muller(a, next_u32()).first;
}

}  // namespace capdiff
