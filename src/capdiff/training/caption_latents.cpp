#include "capdiff/training/caption_latents.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "capdiff/base/error.h"
#include "capdiff/base/progress.h"

namespace capdiff {
namespace {

constexpr std::int64_t kCaptionsAtOnce = 256;

}  // namespace

HostTensor caption_latents(TorchBackend& backend, const SplitBert& text, const EncodedCaptions& captions) {
  if (text.config().target_dropout > 0.0f)
    fail(ErrorCode::usage, "cache_latents: with text.target_dropout {} a caption's latents are others in every step",
         text.config().target_dropout);
  const torch::NoGradGuard frozen;
  HostTensor latents(DType::f32, {captions.size(), captions.length(), text.width()});
  const std::size_t bytes_each = latents.byte_size() / static_cast<std::size_t>(captions.size());
  Progress progress("encoding captions", static_cast<std::uint64_t>(captions.size()));
  for (std::int64_t first = 0; first < captions.size(); first += kCaptionsAtOnce) {
    std::vector<std::int64_t> indices(static_cast<std::size_t>(std::min(kCaptionsAtOnce, captions.size() - first)));
    std::iota(indices.begin(), indices.end(), first);
    const HostTensor part = backend.download(text.encode(captions.batch(indices)));
    std::memcpy(latents.mutable_bytes().data() + static_cast<std::size_t>(first) * bytes_each, part.bytes().data(),
                part.byte_size());
    progress.advance(indices.size());
  }
  return latents;
}

}  // namespace capdiff
