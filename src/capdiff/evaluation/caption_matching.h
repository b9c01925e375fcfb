#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "capdiff/formats/caption_results.h"
#include "capdiff/formats/reference_captions.h"
#include "capdiff/metrics/caption_tokens.h"

namespace capdiff {

/// Which images are scored where references and results do not cover the same.
enum class Coverage {
  equal,    ///< none: that is an error
  partial,  ///< those that both cover
};

/// Captions and references of the same images, in the order of the references.
struct MatchedCaptions {
  std::vector<EvaluatedCaption> captions;
  std::size_t without_caption = 0;     ///< images with references that no result is about
  std::size_t without_references = 0;  ///< results about images without references
};

/// Finds the references of each result: by the image's id; where the result has a path alone, by the picture's file, as
/// it stands or, where that is in neither doubt nor common with another, by its name without folders. Throws
/// `Error(invalid_input)` that names the first images concerned for two results about the same image, where nothing
/// matches, and, unless coverage is partial, where either side has images that the other has not.
MatchedCaptions match_captions(std::span<const ReferenceCaptions> references, std::span<const CaptionResult> results,
                               Coverage coverage);

}  // namespace capdiff
