#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace capdiff {

/// A sentence with blanks: `a [MASK] [MASK] on the grass`. `[UNK]` is a blank as well, as in the paper's figure 11;
/// `[MASK:3]` are three words, `[MASK:2-4]` two to four.
struct CaptionTemplate {
  /// A run of the sentence: given text, or a blank.
  struct Part {
    std::string text;            ///< given text, as it was written; empty for a blank
    std::int64_t min_words = 0;  ///< of a blank; 0 for text
    std::int64_t max_words = 0;
    bool is_blank() const { return max_words > 0; }
  };
  std::vector<Part> parts;

  /// Every choice of lengths for the blanks, each as one number of words per blank, shortest first. More than `limit`
  /// choices are an Error(usage).
  std::vector<std::vector<std::int64_t>> lengths(std::size_t limit) const;
  /// The sentence with `words` put into the blanks in turn, `lengths` of them into each.
  std::string filled(const std::vector<std::int64_t>& lengths, const std::vector<std::string>& words) const;
};

/// Throws Error(usage) for a sentence without a blank, and for blanks of no words, of more than 64, or of an
/// upside-down range.
CaptionTemplate parse_caption_template(std::string_view sentence);

}  // namespace capdiff
