#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace capdiff {

/// A part of a form (RFC 7578).
struct FormPart {
  std::string name;
  std::string_view content;  ///< of the body that was parsed
};

/// Whether texts are equal but for upper and lower case of ASCII letters.
bool equal_ignoring_case(std::string_view a, std::string_view b);
/// The media type of a Content-Type field, in lower case and without parameters: "multipart/form-data".
std::string media_type(std::string_view content_type);
/// Its parameter of that name, without quotes, or an empty text.
std::string media_type_parameter(std::string_view content_type, std::string_view name);

/// The parts of a multipart/form-data body, in order. Throws `RequestError`: bad_request for what is none, or is cut
/// off, too_large for more than `max_parts` parts.
std::vector<FormPart> parse_form(std::string_view body, std::string_view content_type, std::size_t max_parts);

}  // namespace capdiff
