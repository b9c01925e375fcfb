#pragma once

#include <string>
#include <string_view>

namespace capdiff {

/// UTF-8 `text` with the character references of HTML replaced, as the HTML standard says and Python's `html.unescape`
/// does: "&amp;", "&#39;", "&#x27;". All 2,231 spellings of named characters are known, those that need no semicolon
/// also at the beginning of a longer name ("&notit;" is "¬it;"). Numbers 128 to 159 mean Windows-1252; numbers of no
/// character give U+FFFD, and those of controls and non-characters nothing. What is no reference stays.
std::string unescape_html(std::string_view text);

/// `text` as the contents of an element or of a quoted attribute, of HTML and of SVG.
std::string escape_html(std::string_view text);

}  // namespace capdiff
