#include "capdiff/selection/clip_selector.h"

#include "capdiff/base/error.h"
#include "capdiff/models/cosines.h"

namespace capdiff {

std::vector<std::vector<double>> ClipSelector::cosines(std::span<const Image> images,
                                                       std::span<const std::vector<std::string>> texts) const {
  if (images.size() != texts.size())
    fail(ErrorCode::invalid_input, "{} pictures, but texts of {}", images.size(), texts.size());
  std::vector<std::vector<double>> result(images.size());
  if (images.empty()) return result;
  std::vector<std::string> all;
  for (const std::vector<std::string>& some : texts) all.insert(all.end(), some.begin(), some.end());
  const HostTensor pictures = clip_->images(images), captions = clip_->texts(all).features;
  std::int64_t row = 0;
  for (std::size_t i = 0; i < images.size(); ++i) {
    const auto count = static_cast<std::int64_t>(texts[i].size()), picture = static_cast<std::int64_t>(i);
    if (count == 0) continue;
    const HostTensor near = capdiff::cosines(pictures.slice(picture, picture + 1), captions.slice(row, row + count));
    result[i].assign(near.values<float>().begin(), near.values<float>().end());
    row += count;
  }
  return result;
}

}  // namespace capdiff
