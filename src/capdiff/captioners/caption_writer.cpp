#include "capdiff/captioners/caption_writer.h"

#include <algorithm>
#include <cmath>

namespace capdiff {
namespace {

bool counts_up(std::span<const std::int64_t> numbers) {
  for (std::size_t i = 0; i < numbers.size(); ++i)
    if (numbers[i] != static_cast<std::int64_t>(i)) return false;
  return true;
}

}  // namespace

NextTokens CaptionWriter::begin(std::span<const std::int64_t> prompt) {
  const std::int64_t pictures = image_.front().key.shape()[0], length = static_cast<std::int64_t>(prompt.size());
  HostTensor ids(DType::i64, {pictures, length});
  for (std::int64_t i = 0; i < pictures; ++i)
    std::ranges::copy(prompt, ids.mutable_values<std::int64_t>().begin() + i * length);
  written_ = {};
  return extended(ids);
}

NextTokens CaptionWriter::next(std::span<const std::int64_t> parents, std::span<const std::int64_t> tokens) {
  const auto rows = static_cast<std::int64_t>(parents.size());
  if (parents.size() != rows_ || !counts_up(parents))
    written_ = written_.gather(*backend_, backend_->upload(HostTensor::of({rows}, parents)));
  return extended(HostTensor::of({rows, 1}, tokens));
}

NextTokens CaptionWriter::extended(const HostTensor& ids) {
  backend_->enter(CaptionStage::step);
  rows_ = static_cast<std::size_t>(ids.shape()[0]);
  const Value logits = decoder_->extend(backend_->upload(ids), written_, image_);
  // log Σ exp is what the largest logit has above its log-probability.
  const HostTensor top = backend_->download(backend_->max(logits));
  const HostTensor share = backend_->download(backend_->max(backend_->softmax(logits)));
  NextTokens next{backend_->download(logits), {}};
  for (std::size_t row = 0; row < rows_; ++row)
    next.log_sums.push_back(static_cast<double>(top.values<float>()[row]) -
                            std::log(static_cast<double>(share.values<float>()[row])));
  return next;
}

}  // namespace capdiff
