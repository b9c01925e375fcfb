#include "capdiff/formats/json_reader.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "capdiff/base/files.h"
#include "capdiff/base/suggestion.h"

namespace capdiff {
namespace {

constexpr int kMaxDepth = 64;

using Event = nlohmann::json::parse_event_t;

/// A value as it stands in the file, cut to a length that fits a message.
std::string excerpt(const nlohmann::json& value) {
  constexpr std::size_t kLongest = 60;
  if (value.is_structured() && value.size() > kLongest) return value.is_array() ? "a long array" : "a large object";
  std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  if (text.size() > kLongest) text.replace(kLongest, std::string::npos, "...");
  return text;
}

/// Watches a parse for what the parser itself lets through: deep nesting and keys given twice.
class Guard {
 public:
  Guard(const std::string& source, ErrorCode code) : source_(source), code_(code) {}

  void see(int depth, Event event, const nlohmann::json& parsed) {
    switch (event) {
      case Event::object_start: keys_.emplace_back(); [[fallthrough]];
      case Event::array_start:
        if (depth >= kMaxDepth) fail(code_, "{}: JSON nested deeper than {} levels", source_, kMaxDepth);
        break;
      case Event::object_end: keys_.pop_back(); break;
      case Event::key:
        if (!keys_.back().insert(parsed.get<std::string>()).second)
          fail(code_, "{}: the key {} is given twice", source_, excerpt(parsed));
        break;
      default: break;
    }
  }

 private:
  const std::string& source_;
  ErrorCode code_;
  std::vector<std::set<std::string>> keys_;
};

template <class Callback>
nlohmann::json parse_with(std::string_view text, const std::string& source, ErrorCode code, const Callback& callback) {
  // The parser takes a zero byte for the end of the text, and would not look at what follows.
  if (text.find('\0') != std::string_view::npos) fail(code, "{}: not valid JSON: it has a zero byte", source);
  try {
    return nlohmann::json::parse(text.begin(), text.end(), callback);
  } catch (const nlohmann::json::parse_error& error) {
    const std::string_view before = text.substr(0, std::min(error.byte, text.size()));
    fail(code, "{}: not valid JSON (line {}); the file may be truncated", source,
         1 + std::count(before.begin(), before.end(), '\n'));
  } catch (const nlohmann::json::exception&) {
    fail(code, "{}: not valid JSON: a number is out of range", source);
  }
}

std::string choices_text(const std::vector<std::string>& choices) {
  return fmt::format("\"{}\"", fmt::join(choices, "\", \""));
}

}  // namespace

nlohmann::json parse_json(std::string_view text, const std::string& source, ErrorCode code) {
  Guard guard(source, code);
  return parse_with(text, source, code, [&](int depth, Event event, nlohmann::json& parsed) {
    guard.see(depth, event, parsed);
    return true;
  });
}

nlohmann::json parse_json_records(std::string_view text, const std::string& source, const std::string& key,
                                  const std::function<void(const JsonReader&)>& consume, ErrorCode code) {
  Guard guard(source, code);
  bool at_key = false;      // the value of `key` comes next, or is being read
  bool in_records = false;  // it is an array
  std::size_t records = 0;
  const auto callback = [&](int depth, Event event, nlohmann::json& parsed) {
    guard.see(depth, event, parsed);
    if (depth == 1) {
      if (event == Event::key) at_key = parsed == key;
      if (event == Event::array_start) in_records = at_key;
      if (event == Event::array_end) in_records = false;
    }
    if (depth != 2 || event != Event::object_end || !in_records) return true;
    consume(JsonReader(std::move(parsed), source, code, fmt::format("{}[{}]", key, records++)));
    return false;
  };
  nlohmann::json rest = parse_with(text, source, code, callback);
  if (!rest.is_object() || !rest.contains(key)) fail(code, "{}: \"{}\" is missing", source, key);
  if (rest[key] != nlohmann::json::array()) fail(code, "{}: \"{}\" is not an array of objects", source, key);
  return rest;
}

nlohmann::json read_json(const std::filesystem::path& path, std::size_t max_bytes, ErrorCode code) {
  const std::vector<std::byte> bytes = read_file(path, max_bytes);
  return parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string(), code);
}

JsonReader::JsonReader(nlohmann::json value, std::string source, ErrorCode code, std::string path)
    : JsonReader(std::make_shared<const nlohmann::json>(std::move(value)), std::move(source), code, std::move(path)) {}

JsonReader::JsonReader(std::shared_ptr<const nlohmann::json> value, std::string source, ErrorCode code,
                       std::string path)
    : value_(std::move(value)), source_(std::move(source)), path_(std::move(path)), code_(code) {
  if (value_->is_object()) return;
  if (path_.empty()) fail(code_, "{}: holds {}; expected a JSON object", source_, excerpt(*value_));
  fail(code_, "{}: \"{}\" is {}; expected an object", source_, path_, excerpt(*value_));
}

JsonReader JsonReader::open(const std::filesystem::path& path, ErrorCode code) {
  return JsonReader(read_json(path, std::size_t{16} << 20, code), path.string(), code);
}

const nlohmann::json* JsonReader::find(std::string_view key) const {
  asked_.emplace(key);
  const auto found = value_->find(key);
  return found == value_->end() || found->is_null() ? nullptr : &*found;
}

const nlohmann::json& JsonReader::require(std::string_view key) const {
  const nlohmann::json* const value = find(key);
  if (!value) fail(code_, "{}: \"{}\" is missing", source_, full_name(key));
  return *value;
}

std::string JsonReader::full_name(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

void JsonReader::wrong(std::string_view name, const nlohmann::json& value, std::string_view expected) const {
  fail(code_, "{}: \"{}\" is {}; expected {}", source_, name, excerpt(value), expected);
}

std::int64_t JsonReader::as_int(std::string_view name, const nlohmann::json& value, std::int64_t min,
                                std::int64_t max) const {
  const bool fits = value.is_number_unsigned() ? value.get<std::uint64_t>() <= static_cast<std::uint64_t>(INT64_MAX)
                                               : value.is_number_integer();
  const std::int64_t number = fits ? value.get<std::int64_t>() : 0;
  if (!fits || number < min || number > max) wrong(name, value, fmt::format("an integer from {} to {}", min, max));
  return number;
}

double JsonReader::as_number(std::string_view name, const nlohmann::json& value, double min, double max) const {
  const double number = value.is_number() ? value.get<double>() : 0;
  if (!value.is_number() || !(number >= min && number <= max))
    wrong(name, value, fmt::format("a number from {} to {}", min, max));
  return number;
}

std::string JsonReader::as_string(std::string_view name, const nlohmann::json& value) const {
  if (!value.is_string()) wrong(name, value, "a string");
  return value.get<std::string>();
}

bool JsonReader::has(std::string_view key) const {
  return find(key) != nullptr;
}

std::int64_t JsonReader::get_int(std::string_view key, std::int64_t min, std::int64_t max) const {
  return as_int(full_name(key), require(key), min, max);
}

std::int64_t JsonReader::get_int(std::string_view key, std::int64_t min, std::int64_t max,
                                 std::int64_t otherwise) const {
  return has(key) ? get_int(key, min, max) : otherwise;
}

double JsonReader::get_number(std::string_view key, double min, double max) const {
  return as_number(full_name(key), require(key), min, max);
}

double JsonReader::get_number(std::string_view key, double min, double max, double otherwise) const {
  return has(key) ? get_number(key, min, max) : otherwise;
}

bool JsonReader::get_bool(std::string_view key) const {
  const nlohmann::json& value = require(key);
  if (!value.is_boolean()) wrong(full_name(key), value, "true or false");
  return value.get<bool>();
}

bool JsonReader::get_bool(std::string_view key, bool otherwise) const {
  return has(key) ? get_bool(key) : otherwise;
}

std::string JsonReader::get_string(std::string_view key) const {
  return as_string(full_name(key), require(key));
}

std::string JsonReader::get_string(std::string_view key, std::string_view otherwise) const {
  return has(key) ? get_string(key) : std::string(otherwise);
}

std::string JsonReader::get_choice(std::string_view key, const std::vector<std::string>& choices) const {
  std::string value = get_string(key);
  if (std::find(choices.begin(), choices.end(), value) == choices.end())
    wrong(full_name(key), require(key), "one of " + choices_text(choices));
  return value;
}

std::string JsonReader::get_choice(std::string_view key, const std::vector<std::string>& choices,
                                   std::string_view otherwise) const {
  return has(key) ? get_choice(key, choices) : std::string(otherwise);
}

const nlohmann::json& JsonReader::require_array(std::string_view key, std::size_t max_count) const {
  const nlohmann::json& value = require(key);
  if (!value.is_array() || value.size() > max_count)
    wrong(full_name(key), value, fmt::format("an array of at most {} elements", max_count));
  return value;
}

std::string JsonReader::element_name(std::string_view key, std::size_t index) const {
  return fmt::format("{}[{}]", full_name(key), index);
}

std::vector<std::int64_t> JsonReader::get_ints(std::string_view key, std::size_t max_count, std::int64_t min,
                                               std::int64_t max) const {
  std::vector<std::int64_t> result;
  for (const nlohmann::json& value : require_array(key, max_count))
    result.push_back(as_int(element_name(key, result.size()), value, min, max));
  return result;
}

std::vector<double> JsonReader::get_numbers(std::string_view key, std::size_t max_count, double min, double max) const {
  std::vector<double> result;
  for (const nlohmann::json& value : require_array(key, max_count))
    result.push_back(as_number(element_name(key, result.size()), value, min, max));
  return result;
}

std::vector<std::string> JsonReader::get_strings(std::string_view key, std::size_t max_count) const {
  std::vector<std::string> result;
  for (const nlohmann::json& value : require_array(key, max_count))
    result.push_back(as_string(element_name(key, result.size()), value));
  return result;
}

JsonReader JsonReader::get_object(std::string_view key) const {
  return JsonReader(std::shared_ptr<const nlohmann::json>(value_, &require(key)), source_, code_, full_name(key));
}

std::vector<JsonReader> JsonReader::get_objects(std::string_view key, std::size_t max_count) const {
  std::vector<JsonReader> result;
  for (const nlohmann::json& value : require_array(key, max_count))
    result.push_back(JsonReader(std::shared_ptr<const nlohmann::json>(value_, &value), source_, code_,
                                element_name(key, result.size())));
  return result;
}

void JsonReader::reject_unknown_keys() const {
  for (const auto& [key, value] : value_->items())
    if (!asked_.contains(key))
      fail(code_, "{}: unknown key \"{}\"{}", source_, full_name(key),
           suggestion(key, std::vector<std::string>(asked_.begin(), asked_.end())));
}

}  // namespace capdiff
