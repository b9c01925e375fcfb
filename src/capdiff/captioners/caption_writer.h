#pragma once

#include <span>
#include <vector>

#include "capdiff/captioners/token_search.h"
#include "capdiff/models/caption_decoder.h"

namespace capdiff {

/// A CaptionDecoder that writes about pictures. What it has computed for earlier tokens, and for the pictures, stays.
class CaptionWriter final : public TokenWriter {
 public:
  /// `image` are the decoder's keys and values of the pictures.
  CaptionWriter(Backend& backend, const CaptionDecoder& decoder, std::vector<KeyValue> image)
      : backend_(&backend), decoder_(&decoder), image_(std::move(image)) {}

  NextTokens begin(std::span<const std::int64_t> prompt) override;
  NextTokens next(std::span<const std::int64_t> parents, std::span<const std::int64_t> tokens) override;

 private:
  NextTokens extended(const HostTensor& ids);

  Backend* backend_;
  const CaptionDecoder* decoder_;
  std::vector<KeyValue> image_;
  CaptionDecoder::Written written_;
  std::size_t rows_ = 0;
};

}  // namespace capdiff
