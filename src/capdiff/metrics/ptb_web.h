#pragma once

#include <cstddef>

#include "capdiff/metrics/ptb_text.h"

namespace capdiff {

/// Finds tokens of the web and other patterns whose end may lie far behind their start: addresses, file names, tags and
/// chains of hyphens. What it learns about a stretch of text it remembers for the next position in it, so that reading
/// a text from its start to its end takes linear time. Functions return the end of the token, or `at` where there is
/// none.
class PtbWeb {
 public:
  explicit PtbWeb(const PtbText& text) : text_(text) {}

  /// `http://…`, `https://…`, `www.…`, or a name under .com, .net, .org or .edu, with its path.
  std::size_t url(std::size_t at);
  /// Anything at anything, in angle brackets or not.
  std::size_t email(std::size_t at);
  /// `dog.jpg`, where white space, a comma or the end of a sentence follows.
  std::size_t file_name(std::size_t at);
  /// `</s>`, `<img src="a b.png">`, `<!-- … -->`
  std::size_t tag(std::size_t at);
  /// ASCII letters and digits joined by hyphens, with dots and commas before the first (`10,000-year`) and dotted
  /// letters behind one (`anti-u.s.`).
  std::size_t hyphenated(std::size_t at);

 private:
  /// [begin, end) is one stretch; `last` is the start of the piece that `accept` ends.
  struct Stretch {
    std::size_t begin = 0, end = 0, last = 0, accept = 0;
    bool covers(std::size_t at) const { return begin <= at && at < end; }
  };

  template <class IsMember, class PieceEnd>
  const Stretch& dotted(Stretch& stretch, std::size_t at, IsMember&& is_member, PieceEnd&& piece_end) const;
  std::size_t full_url(std::size_t at) const;
  std::size_t url_path(std::size_t at) const;
  std::size_t attributes(std::size_t at) const;

  const PtbText& text_;
  Stretch www_, domain_, email_, file_name_, hyphen_head_, declaration_;
};

/// End of ASCII letters with a dot behind each (`u.s.`), at least `minimum` of them; `at` where there are fewer.
std::size_t ptb_dotted_letters(const PtbText& text, std::size_t at, std::size_t minimum);

}  // namespace capdiff
