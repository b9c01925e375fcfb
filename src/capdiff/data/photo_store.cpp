#include "capdiff/data/photo_store.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "capdiff/base/error.h"
#include "capdiff/base/progress.h"
#include "capdiff/image/resize.h"

namespace capdiff {
namespace {

Image shrunk(Image image, int max_side) {
  const int longer = std::max(image.width, image.height);
  if (max_side <= 0 || longer <= max_side) return image;
  const double scale = static_cast<double>(max_side) / longer;
  return resize_bicubic(image, std::max(1, static_cast<int>(image.width * scale + 0.5)),
                        std::max(1, static_cast<int>(image.height * scale + 0.5)));
}

}  // namespace

PhotoStore::PhotoStore(std::span<const PhotoSource> sources, int max_side, int threads) : photos_(sources.size()) {
  Progress progress("reading photos", sources.size());
  std::atomic<std::size_t> next = 0, unreadable = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < sources.size(); i = next++) {
      try {
        photos_[i] = shrunk(read_photo(sources[i]), max_side);
      } catch (const Error& error) {
        spdlog::warn("left out: {}", error.what());
        ++unreadable;
      }
      progress.advance();
    }
  };
  std::vector<std::jthread> workers;
  for (int t = 1; t < threads; ++t) workers.emplace_back(work);
  work();
  workers.clear();
  if (unreadable == sources.size())
    fail(ErrorCode::invalid_input, "none of the {} photos could be read", sources.size());
}

}  // namespace capdiff
