#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace capdiff {

/// One block of Philox4x32-10, the counter-based generator of Salmon et al., "Parallel Random Numbers: As Easy as
/// 1, 2, 3" (SC 2011): four random words that are a pure function of counter and key.
std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);

/// The Gaussian noise of one picture at one step. What a picture gets depends on these four numbers and on nothing
/// else: not on the order of pictures, the batch, the number of threads or the backend.
///
/// Element i is computed from block i / 4 alone, by Box-Muller over uniforms of 32 bits (so |x| <= 6.67) in double
/// precision. Logarithm, sine and cosine are built here from +, -, *, / and square root, which IEEE 754 rounds exactly;
/// the same bits therefore come out whatever the processor and the C library.
class NoiseStream {
 public:
  /// `content` identifies the picture (a hash of its bytes), `candidate` the caption drawn for it, `step` the
  /// denoising step.
  NoiseStream(std::uint64_t seed, std::uint64_t content, std::uint32_t candidate, std::uint32_t step);

  /// Writes elements [first, first + out.size()) of N(0, 1) noise.
  void fill(std::span<float> out, std::uint64_t first = 0) const;

 private:
  std::array<std::uint32_t, 4> identity_;
};

/// A sequence of random numbers. Each (seed, stream, index) is a sequence of its own. In training `stream` says what it
/// is for (augmentation, time steps, ...) and `index` is the global number of the sample, so that what a sample gets
/// does not depend on workers or ranks; words of a caption are drawn with the candidate and the picture's content.
class RandomStream {
 public:
  RandomStream(std::uint64_t seed, std::uint32_t stream, std::uint64_t index);

  std::uint32_t next_u32();
  std::uint64_t next_u64();
  /// Uniform in [0, 1), a multiple of 2^-53.
  double uniform();
  /// Uniform in [low, high).
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Uniform in {0, ..., n - 1}, without modulo bias; n must be positive.
  std::uint64_t below(std::uint64_t n);
  /// N(0, 1), computed as `NoiseStream` does.
  double normal();

 private:
  std::array<std::uint32_t, 4> identity_;
  std::uint64_t block_ = 0;
  std::array<std::uint32_t, 4> words_{};
  int used_ = 4;
};

}  // namespace capdiff
