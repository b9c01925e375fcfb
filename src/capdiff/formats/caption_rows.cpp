#include "capdiff/formats/caption_rows.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "capdiff/base/error.h"
#include "capdiff/base/utf8.h"
#include "capdiff/formats/json_reader.h"

namespace capdiff {
namespace {

/// "%0A" for every byte but those that may stay.
template <class MayStay>
std::string percent_encoded(std::string_view bytes, MayStay may_stay) {
  std::string text;
  for (const char byte : bytes) {
    const auto c = static_cast<unsigned char>(byte);
    text += may_stay(c) ? std::string(1, byte) : fmt::format("%{:02X}", c);
  }
  return text;
}

/// In a URL: letters, digits, and what stands between them in most names.
bool stays_in_url(unsigned char c) {
  return c < 0x80 &&
         (std::isalnum(c) || std::string_view("/-._~").find(static_cast<char>(c)) != std::string_view::npos);
}

std::string percent_decoded(std::string_view text, const std::string& source) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      bytes += text[i];
      continue;
    }
    unsigned value = 0;
    const std::string_view digits = text.substr(i + 1, 2);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() != 2 || error != std::errc{} || end != digits.data() + 2)
      fail(ErrorCode::invalid_input, "{}: \"path_bytes\" is not percent-encoded", source);
    bytes += static_cast<char>(value);
    i += 2;
  }
  return bytes;
}

/// Where a csv row ends, behind its line feed; nothing where it is not whole. `first` becomes its first field.
std::optional<std::size_t> csv_row_end(std::string_view text, std::string& first) {
  bool quoted = false, in_first = true;
  first.clear();
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') {
      // A quote doubled within quotes is one.
      if (quoted && i + 1 < text.size() && text[i + 1] == '"') {
        if (in_first) first += '"';
        ++i;
      } else {
        quoted = !quoted;
      }
    } else if (!quoted && c == '\n') {
      return i + 1;
    } else if (!quoted && c == ',') {
      in_first = false;
    } else if (in_first) {
      first += c;
    }
  }
  return std::nullopt;
}

/// The next row of `text`: how many bytes it has, and the key of its picture.
struct Row {
  std::size_t bytes = 0;
  std::string key;
};

std::optional<Row> next_row(std::string_view text, RowFormat format, const std::string& source) {
  Row row;
  if (format == RowFormat::csv) {
    const std::optional<std::size_t> end = csv_row_end(text, row.key);
    if (!end) return std::nullopt;
    row.bytes = *end;
    return row;
  }
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  row.bytes = end + 1;
  const std::string_view line = text.substr(0, end);
  if (format == RowFormat::text) {
    const std::size_t tab = line.find('\t');
    if (tab == std::string_view::npos) fail(ErrorCode::invalid_input, "{}: it is not path<TAB>caption", source);
    row.key = line.substr(0, tab);
  } else {
    const nlohmann::json json = parse_json(line, source);
    if (format == RowFormat::coco)
      row.key = std::to_string(JsonReader(json, source).get_int("image_id", 0, std::int64_t{1} << 53));
    else
      row.key = picture_of(json, source);
  }
  return row;
}

}  // namespace

void name_picture(nlohmann::ordered_json& row, const std::string& path) {
  if (is_utf8(path)) {
    row["path"] = path;
    return;
  }
  // The library's own replacement, taken back from what it writes.
  const std::string shown = nlohmann::json(path).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  row["path"] = nlohmann::json::parse(shown);
  row["path_bytes"] = percent_encoded(path, stays_in_url);
}

std::string picture_of(const nlohmann::json& row, const std::string& source) {
  const JsonReader reader(row, source);
  if (reader.has("path_bytes")) return percent_decoded(reader.get_string("path_bytes"), source);
  return reader.get_string("path");
}

std::string csv_row(std::span<const std::string> fields) {
  std::string row;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) row += ',';
    if (fields[i].find_first_of(",\"\r\n") == std::string::npos) {
      row += fields[i];
      continue;
    }
    row += '"';
    for (const char c : fields[i]) row += c == '"' ? std::string("\"\"") : std::string(1, c);
    row += '"';
  }
  return row + "\n";
}

std::string failure_row(std::time_t time, const std::string& path, std::string_view reason) {
  const bool utf8 = is_utf8(path);
  const std::string name =
      percent_encoded(path, [&](unsigned char c) { return c >= 0x80 ? utf8 : c >= 0x20 && c != 0x7f && c != '%'; });
  std::string line(reason);
  std::ranges::replace_if(
      line, [](char c) { return c == '\n' || c == '\t' || c == '\r'; }, ' ');
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}\t{}\t{}\n", fmt::gmtime(time), name, without_controls(line));
}

std::string coco_row(std::int64_t image_id, const std::string& caption) {
  return fmt::format("{{\"image_id\": {}, \"caption\": {}}}\n", image_id,
                     nlohmann::json(caption).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

std::optional<std::int64_t> coco_image_id(const std::filesystem::path& picture) {
  const std::string stem = picture.stem().string();
  const std::size_t begin = stem.find_last_not_of("0123456789") + 1;  // npos + 1 is 0
  if (begin == stem.size() || (begin > 0 && stem[begin - 1] != '_' && stem[begin - 1] != '-')) return std::nullopt;
  std::int64_t id = 0;
  const auto [end, error] = std::from_chars(stem.data() + begin, stem.data() + stem.size(), id);
  if (error != std::errc{} || id > std::int64_t{1} << 53) return std::nullopt;
  return id;
}

WholeRows read_whole_rows(std::string_view text, RowFormat format, const std::string& header, bool several_rows,
                          const std::string& source) {
  WholeRows rows;
  std::size_t line = 1;
  if (!header.empty() && !text.empty()) {
    if (!text.starts_with(header)) {
      if (header.starts_with(text)) return rows;  // cut off within
      fail(ErrorCode::invalid_input, "{}: it does not begin with {}", source, header.substr(0, header.size() - 1));
    }
    rows.bytes = header.size();
    ++line;
  }
  std::size_t begin_of_last = rows.bytes;
  while (const auto row = next_row(text.substr(rows.bytes), format, fmt::format("{}, line {}", source, line))) {
    if (rows.keys.empty() || rows.keys.back() != row->key) {
      begin_of_last = rows.bytes;
      rows.keys.push_back(row->key);
    }
    rows.bytes += row->bytes;
    ++line;
  }
  if (several_rows && !rows.keys.empty()) {
    rows.keys.pop_back();
    rows.bytes = begin_of_last;
  }
  return rows;
}

}  // namespace capdiff
