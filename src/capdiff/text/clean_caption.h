#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace capdiff {

/// How captions are cleaned before they are tokenised. LaDiC keeps the full stop, which is its filler for empty
/// positions; BLIP turns it into a space. LaDiC keeps 30 words of a caption and 50 of a paragraph.
struct CaptionCleaning {
  std::size_t max_words = 30;
  bool keep_full_stop = true;
};

/// Lower-cases the whole caption; turns each of `! " ( ) * # : ; ~` into a space; makes one space of each run of two or
/// more white-space characters; removes line feeds at the end, then spaces at both ends; keeps the first `max_words`
/// words, counted between single spaces. Bytes that are not UTF-8 become U+FFFD.
std::string clean_caption(std::string_view caption, const CaptionCleaning& cleaning = {});

}  // namespace capdiff
