#include "capdiff/formats/json_reader.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "capdiff/base/files.h"
#include "capdiff/base/suggestion.h"

namespace capdiff {
namespace {

constexpr std::size_t kMaxDepth = 64;

/// A value as it stands in the file, cut to a length that fits a message.
std::string excerpt(const nlohmann::json& value) {
  constexpr std::size_t kLongest = 60;
  if (value.is_structured() && value.size() > kLongest) return value.is_array() ? "a long array" : "a large object";
  std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  if (text.size() > kLongest) text.replace(kLongest, std::string::npos, "...");
  return text;
}

/// Builds a document while it is parsed, refuses what the parser itself lets through (deep nesting, keys given twice),
/// and hands the objects of some arrays over as soon as they are complete.
class Builder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  /// Takes record number `index` of the array at `key`.
  using Consume = std::function<void(const std::string& key, std::size_t index, nlohmann::json record)>;

  /// Arrays of records are the members `keys` of the document; an empty one stands for the document itself.
  Builder(std::string_view text, const std::string& source, ErrorCode code, const std::vector<std::string>& keys,
          const Consume& consume)
      : text_(text), source_(source), code_(code), keys_(keys), consume_(consume) {}

  nlohmann::json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(nlohmann::json::object()); }
  bool start_array(std::size_t) override {
    const bool records = (open_.empty() || (open_.size() == 1 && open_[0]->is_object())) && records_ == nullptr;
    const auto key = records ? std::ranges::find(keys_, open_.empty() ? std::string() : key_) : keys_.end();
    open(nlohmann::json::array());
    if (key == keys_.end()) return true;
    records_ = open_.back();
    records_key_ = *key;
    index_ = 0;
    return true;
  }
  bool key(string_t& name) override {
    key_ = name;
    const auto [member, added] = open_.back()->get_ref<nlohmann::json::object_t&>().emplace(std::move(name), nullptr);
    if (!added) fail(code_, "{}: the key {} is given twice", source_, excerpt(key_));
    slot_ = &member->second;
    return true;
  }
  bool end_object() override {
    nlohmann::json* const done = open_.back();
    open_.pop_back();
    if (open_.empty() || open_.back() != records_) return true;
    nlohmann::json record = std::move(*done);
    records_->get_ref<nlohmann::json::array_t&>().pop_back();
    consume_(records_key_, index_++, std::move(record));
    return true;
  }
  bool end_array() override {
    if (open_.back() == records_) records_ = nullptr;
    open_.pop_back();
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    constexpr int kNumberOutOfRange = 406;
    if (error.id == kNumberOutOfRange) fail(code_, "{}: not valid JSON: a number is out of range", source_);
    const std::string_view before = text_.substr(0, std::min(position, text_.size()));
    const std::string record = records_ ? fmt::format(", in {}[{}]", records_key_, index_) : "";
    fail(code_, "{}: not valid JSON (line {}{}); it may be truncated", source_,
         1 + std::count(before.begin(), before.end(), '\n'), record);
  }

 private:
  nlohmann::json* place(nlohmann::json value) {
    if (open_.empty()) return &(root_ = std::move(value));
    if (open_.back()->is_object()) return &(*slot_ = std::move(value));
    auto& array = open_.back()->get_ref<nlohmann::json::array_t&>();
    array.push_back(std::move(value));
    return &array.back();
  }
  template <class Value>
  bool add(Value&& value) {
    place(std::forward<Value>(value));
    return true;
  }
  bool open(nlohmann::json value) {
    if (open_.size() >= kMaxDepth) fail(code_, "{}: JSON nested deeper than {} levels", source_, kMaxDepth);
    open_.push_back(place(std::move(value)));
    return true;
  }

  std::string_view text_;
  const std::string& source_;
  ErrorCode code_;
  const std::vector<std::string>& keys_;
  const Consume& consume_;

  nlohmann::json root_;
  std::vector<nlohmann::json*> open_;  // objects and arrays that are not complete, outermost first
  nlohmann::json* slot_ = nullptr;     // where the value of the last key goes
  std::string key_;
  nlohmann::json* records_ = nullptr;  // the array whose objects are handed over, while it is read
  std::string records_key_;
  std::size_t index_ = 0;
};

nlohmann::json build(std::string_view text, const std::string& source, ErrorCode code,
                     const std::vector<std::string>& keys = {}, const Builder::Consume& consume = {}) {
  // The parser takes a zero byte for the end of the text, and would not look at what follows.
  if (text.find('\0') != std::string_view::npos) fail(code, "{}: not valid JSON: it has a zero byte", source);
  Builder builder(text, source, code, keys, consume);
  nlohmann::json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

std::string choices_text(const std::vector<std::string>& choices) {
  return fmt::format("\"{}\"", fmt::join(choices, "\", \""));
}

}  // namespace

nlohmann::json parse_json(std::string_view text, const std::string& source, ErrorCode code) {
  return build(text, source, code);
}

nlohmann::json parse_json_records(std::string_view text, const std::string& source,
                                  const std::vector<std::string>& keys,
                                  const std::function<void(const std::string& key, const JsonReader& record)>& consume,
                                  ErrorCode code) {
  return build(text, source, code, keys, [&](const std::string& key, std::size_t index, nlohmann::json record) {
    consume(key, JsonReader(std::move(record), source, code, fmt::format("{}[{}]", key, index)));
  });
}

nlohmann::json parse_json_records(std::string_view text, const std::string& source, const std::string& key,
                                  const std::function<void(const JsonReader&)>& consume, ErrorCode code) {
  nlohmann::json rest = parse_json_records(
      text, source, std::vector<std::string>{key},
      [&](const std::string&, const JsonReader& record) { consume(record); }, code);
  if (key.empty()) {
    if (rest != nlohmann::json::array()) fail(code, "{}: not an array of objects", source);
    return rest;
  }
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
