#include "capdiff/serving/multipart.h"

#include <algorithm>
#include <optional>

#include "capdiff/base/utf8.h"
#include "capdiff/serving/api_error.h"

namespace capdiff {
namespace {

constexpr std::size_t kMaxBoundary = 70;  ///< RFC 2046
constexpr std::size_t kMaxPartHeader = 8192;
constexpr std::size_t kMaxName = 256;

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

/// Takes a value, quoted or not, off the front of `text`; nothing where a quote is not closed.
std::optional<std::string> take_value(std::string_view& text) {
  std::string value;
  if (!text.starts_with('"')) {
    const std::size_t end = std::min(text.find(';'), text.size());
    value = trimmed(text.substr(0, end));
    text.remove_prefix(end);
    return value;
  }
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') {
      text.remove_prefix(i + 1);
      return value;
    }
    if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '"' || text[i + 1] == '\\')) ++i;
    value.push_back(text[i]);
  }
  return std::nullopt;
}

/// The parameter `name` of a field "value; a=b; c="d"".
std::optional<std::string> parameter(std::string_view field, std::string_view name) {
  field.remove_prefix(std::min(field.find(';'), field.size()));
  while (field.starts_with(';')) {
    field.remove_prefix(1);
    const std::size_t equals = field.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    const std::string_view key = trimmed(field.substr(0, equals));
    field = field.substr(equals + 1);
    const auto value = take_value(field);
    if (!value) return std::nullopt;
    if (equal_ignoring_case(key, name)) return value;
    field.remove_prefix(std::min(field.find(';'), field.size()));
  }
  return std::nullopt;
}

/// The name in a part's header.
std::string part_name(std::string_view header) {
  std::optional<std::string> name;
  while (!header.empty()) {
    const std::size_t end = std::min(header.find("\r\n"), header.size());
    const std::string_view line = header.substr(0, end);
    header.remove_prefix(std::min(end + 2, header.size()));
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos)
      refuse(Refusal::bad_request, "", "a part of the form has a header line without a colon");
    const std::string_view field = line.substr(0, colon), value = trimmed(line.substr(colon + 1));
    if (equal_ignoring_case(field, "content-transfer-encoding") && !equal_ignoring_case(value, "binary") &&
        !equal_ignoring_case(value, "8bit") && !equal_ignoring_case(value, "7bit"))
      refuse(Refusal::bad_request, "", "a part of the form has the transfer encoding '{}'; send plain bytes",
             printable(value));
    if (!equal_ignoring_case(field, "content-disposition")) continue;
    if (name) refuse(Refusal::bad_request, "", "a part of the form has two names");
    if (media_type(value) != "form-data")
      refuse(Refusal::bad_request, "", "a part of the form is not form-data but '{}'", printable(value));
    name = parameter(value, "name");
  }
  if (!name || name->empty() || name->size() > kMaxName || !is_utf8(*name))
    refuse(Refusal::bad_request, "", "a part of the form has no name");
  return *name;
}

/// Reads a form from its first boundary on.
class FormParser {
 public:
  FormParser(std::string_view body, const std::string& boundary)
      : body_(body), delimiter_("\r\n--" + boundary), rest_(body) {}

  std::vector<FormPart> parts(std::size_t max_parts) {
    skip_preamble();
    std::vector<FormPart> parts;
    while (!ends_here()) {
      if (parts.size() == max_parts) refuse(Refusal::too_large, "", "the form has more than {} parts", max_parts);
      parts.push_back(part());
    }
    return parts;
  }

 private:
  /// The first delimiter may stand at the very beginning, without a line break.
  void skip_preamble() {
    const std::string_view first = std::string_view(delimiter_).substr(2);
    if (body_.starts_with(first))
      rest_ = body_.substr(first.size());
    else
      up_to_delimiter();
  }

  /// What stands before the next delimiter, which is skipped.
  std::string_view up_to_delimiter() {
    const std::size_t at = rest_.find(delimiter_);
    if (at == std::string_view::npos)
      refuse(Refusal::bad_request, "", "the form is cut off: the boundary of its Content-Type is missing at the end");
    const std::string_view before = rest_.substr(0, at);
    rest_.remove_prefix(at + delimiter_.size());
    return before;
  }

  /// Behind a delimiter: "--" ends the form, a line break begins a part.
  bool ends_here() {
    if (rest_.starts_with("--")) return true;
    while (rest_.starts_with(' ') || rest_.starts_with('\t')) rest_.remove_prefix(1);
    if (!rest_.starts_with("\r\n"))
      refuse(Refusal::bad_request, "", "a boundary of the form is not followed by a line break");
    return false;
  }

  FormPart part() {
    // The line break behind the delimiter also ends an empty header.
    const std::size_t end = rest_.substr(0, kMaxPartHeader).find("\r\n\r\n");
    if (end == std::string_view::npos)
      refuse(Refusal::bad_request, "", "a part of the form has no header, or one of more than {} bytes",
             kMaxPartHeader);
    const std::string_view header = rest_.substr(std::min<std::size_t>(2, end), end - std::min<std::size_t>(2, end));
    rest_.remove_prefix(end + 2);
    std::string name = part_name(header);
    std::string_view content = up_to_delimiter();
    content.remove_prefix(std::min<std::size_t>(2, content.size()));
    return {std::move(name), content};
  }

  std::string_view body_;
  std::string delimiter_;
  std::string_view rest_;
};

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string media_type(std::string_view content_type) {
  std::string type(trimmed(content_type.substr(0, content_type.find(';'))));
  std::ranges::transform(type, type.begin(), lower);
  return type;
}

std::string media_type_parameter(std::string_view content_type, std::string_view name) {
  return parameter(content_type, name).value_or("");
}

std::vector<FormPart> parse_form(std::string_view body, std::string_view content_type, std::size_t max_parts) {
  const std::string boundary = media_type_parameter(content_type, "boundary");
  if (boundary.empty() || boundary.size() > kMaxBoundary)
    refuse(Refusal::bad_request, "", "the Content-Type of a form needs a boundary of at most {} characters",
           kMaxBoundary);
  return FormParser(body, boundary).parts(max_parts);
}

}  // namespace capdiff
