#include "capdiff/image/resize.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

constexpr int kFractionBits = 22;
constexpr std::int32_t kHalf = 1 << (kFractionBits - 1);

std::uint8_t round_to_u8(std::int32_t fixed) {
  return static_cast<std::uint8_t>(std::clamp(fixed >> kFractionBits, 0, 255));
}

/// Keys' cubic convolution kernel, support [-2, 2].
double cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
  return 0.0;
}

/// What one output position takes from the input: the sum of weights[k] * input[first + k]. Weights are fixed point.
struct Taps {
  int first;
  std::span<const std::int32_t> weights;

  int end() const { return first + static_cast<int>(weights.size()); }
};

/// The taps of output positions [begin, begin + count) along one axis that is resized from `input_size` to
/// `output_size`. `first` and `end()` never decrease from one position to the next.
class Filter {
 public:
  Filter(int input_size, int output_size, int begin, int count) {
    const double scale = static_cast<double>(input_size) / output_size;
    const double widening = std::max(scale, 1.0);
    const double support = 2.0 * widening;
    std::vector<double> exact;
    for (int i = begin; i < begin + count; ++i) {
      const double center = (i + 0.5) * scale;
      const int first = std::max(0, static_cast<int>(center - support + 0.5));
      const int end = std::min(input_size, static_cast<int>(center + support + 0.5));
      exact.clear();
      double sum = 0.0;
      for (int k = first; k < end; ++k) {
        exact.push_back(cubic((k - center + 0.5) * (1.0 / widening)));
        sum += exact.back();
      }
      firsts_.push_back(first);
      for (const double weight : exact)
        weights_.push_back(static_cast<std::int32_t>(std::round(weight / sum * (1 << kFractionBits))));
      ends_.push_back(weights_.size());
    }
  }

  Taps operator[](int i) const {
    const auto index = static_cast<std::size_t>(i);
    const std::size_t begin = index == 0 ? 0 : ends_[index - 1];
    return {firsts_[index], std::span(weights_).subspan(begin, ends_[index] - begin)};
  }

 private:
  std::vector<int> firsts_;
  std::vector<std::size_t> ends_;  // of each position's weights
  std::vector<std::int32_t> weights_;
};

void resize_row(const std::uint8_t* from, const Filter& filter, std::span<std::uint8_t> to) {
  const int width = static_cast<int>(to.size() / 3);
  std::uint8_t* out = to.data();
  for (int x = 0; x < width; ++x, out += 3) {
    const Taps taps = filter[x];
    const std::uint8_t* pixel = from + 3 * static_cast<std::ptrdiff_t>(taps.first);
    std::int32_t r = kHalf, g = kHalf, b = kHalf;
    for (const std::int32_t weight : taps.weights) {
      r += pixel[0] * weight;
      g += pixel[1] * weight;
      b += pixel[2] * weight;
      pixel += 3;
    }
    out[0] = round_to_u8(r);
    out[1] = round_to_u8(g);
    out[2] = round_to_u8(b);
  }
}

/// Resizes `box` of the image to width x height and returns the part within `window`. Every source row is resized
/// horizontally once and then added to the output rows that it contributes to, so that memory is proportional to the
/// output even for pictures a pixel wide and a million high.
Image resize(const Image& image, const Box& box, int width, int height, const Box& window) {
  const Filter across(box.width, width, window.x, window.width);
  const Filter down(box.height, height, window.y, window.height);
  Image out(window.width, window.height);
  const std::size_t stride = out.stride();
  std::vector<std::uint8_t> line(stride);
  std::vector<std::int32_t> sums(out.rgb.size(), kHalf);

  int top = 0;  // the first output row that is not complete
  for (int y = down[0].first; y < down[window.height - 1].end(); ++y) {
    resize_row(image.row(box.y + y).data() + 3 * static_cast<std::ptrdiff_t>(box.x), across, line);
    while (down[top].end() <= y) ++top;
    for (int i = top; i < window.height; ++i) {
      const Taps taps = down[i];
      if (taps.first > y) break;
      const std::int32_t weight = taps.weights[static_cast<std::size_t>(y - taps.first)];
      std::int32_t* const sum = sums.data() + static_cast<std::size_t>(i) * stride;
      for (std::size_t k = 0; k < stride; ++k) sum[k] += line[k] * weight;
    }
  }
  std::transform(sums.begin(), sums.end(), out.rgb.begin(), round_to_u8);
  return out;
}

Image crop(const Image& image, const Box& box) {
  Image out(box.width, box.height);
  for (int y = 0; y < box.height; ++y) {
    const auto from = image.row(box.y + y).subspan(3 * static_cast<std::size_t>(box.x), out.stride());
    std::copy(from.begin(), from.end(), out.row(y).begin());
  }
  return out;
}

void check_within(const Box& box, int width, int height) {
  if (box.x < 0 || box.y < 0 || box.width <= 0 || box.height <= 0 || box.width > width - box.x ||
      box.height > height - box.y)
    fail(ErrorCode::invalid_input, "a box of {} x {} pixels at ({}, {}) is not within a picture of {} x {}", box.width,
         box.height, box.x, box.y, width, height);
}

void check_target(int width, int height) {
  if (width <= 0 || height <= 0)
    fail(ErrorCode::invalid_input, "a picture cannot be resized to {} x {} pixels", width, height);
}

}  // namespace

Image resize_bicubic(const Image& image, int width, int height) {
  return resize_bicubic(image, Box{0, 0, image.width, image.height}, width, height);
}

Image resize_bicubic(const Image& image, const Box& box, int width, int height) {
  check_target(width, height);
  check_within(box, image.width, image.height);
  if (width == box.width && height == box.height) return crop(image, box);
  return resize(image, box, width, height, Box{0, 0, width, height});
}

Image resize_bicubic_window(const Image& image, int width, int height, const Box& window) {
  check_target(width, height);
  check_within(Box{0, 0, image.width, image.height}, image.width, image.height);
  check_within(window, width, height);
  if (width == image.width && height == image.height) return crop(image, window);
  return resize(image, Box{0, 0, image.width, image.height}, width, height, window);
}

}  // namespace capdiff
