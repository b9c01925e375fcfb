#include "capdiff/image/row_reducer.h"

#include <algorithm>
#include <utility>

namespace capdiff {
namespace {

int reduced(int side, int factor) {
  return (side - 1) / factor + 1;
}

}  // namespace

RowReducer::RowReducer(int width, int height, int factor)
    : width_(width), height_(height), factor_(factor), out_(reduced(width, factor), reduced(height, factor)) {
  if (factor > 1) sums_.resize(out_.stride());
}

void RowReducer::add(std::span<const std::uint8_t> row) {
  ++added_;
  if (factor_ == 1) {
    std::ranges::copy(row, out_.row(written_++).begin());
    return;
  }
  std::uint32_t* sum = sums_.data();
  int left = factor_;
  for (std::size_t i = 0; i < row.size(); i += 3) {
    for (std::size_t c = 0; c < 3; ++c) sum[c] += row[i + c];
    if (--left > 0) continue;
    left = factor_;
    sum += 3;
  }
  if (++rows_ == factor_ || added_ == height_) write_row();
}

void RowReducer::write_row() {
  const std::span<std::uint8_t> row = out_.row(written_++);
  for (std::size_t i = 0; i < row.size(); ++i) {
    const int first = static_cast<int>(i / 3) * factor_;
    const auto count = static_cast<std::uint32_t>(std::min(factor_, width_ - first) * rows_);
    row[i] = static_cast<std::uint8_t>((sums_[i] + count / 2) / count);
  }
  std::ranges::fill(sums_, 0);
  rows_ = 0;
}

Image RowReducer::finish(std::uint8_t missing) {
  if (rows_ > 0) write_row();
  const auto known = static_cast<std::ptrdiff_t>(static_cast<std::size_t>(written_) * out_.stride());
  std::fill(out_.rgb.begin() + known, out_.rgb.end(), missing);
  return std::move(out_);
}

Image reduce(Image image, int factor) {
  if (factor == 1) return image;
  RowReducer reducer(image.width, image.height, factor);
  for (int y = 0; y < image.height; ++y) reducer.add(image.row(y));
  return reducer.finish(0);
}

}  // namespace capdiff
