#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "capdiff/base/error.h"

namespace capdiff {

/// Parses JSON from outside. Throws `Error(code)` that names `source` for malformed text, text that is not UTF-8, keys
/// given twice, and nesting deeper than 64 levels.
nlohmann::json parse_json(std::string_view text, const std::string& source, ErrorCode code = ErrorCode::invalid_input);

/// Reads and parses a JSON file of at most `max_bytes`.
nlohmann::json read_json(const std::filesystem::path& path, std::size_t max_bytes = std::size_t{16} << 20,
                         ErrorCode code = ErrorCode::invalid_input);

class JsonReader;

/// As `parse_json` for a document {..., key: [{...}, {...}, ...], ...}, but each object of that array is handed to
/// `consume` as soon as it is complete, and then dropped: of a large data set, one record is in memory at a time.
/// Returns the rest of the document. Throws where `key` is missing or is not an array of objects. An empty `key` stands
/// for the document itself: [{...}, {...}, ...].
nlohmann::json parse_json_records(std::string_view text, const std::string& source, const std::string& key,
                                  const std::function<void(const JsonReader&)>& consume,
                                  ErrorCode code = ErrorCode::invalid_input);

/// The same for several members of a document, each of which may be missing. Values of their arrays that are no objects
/// stay in the rest.
nlohmann::json parse_json_records(std::string_view text, const std::string& source,
                                  const std::vector<std::string>& keys,
                                  const std::function<void(const std::string& key, const JsonReader& record)>& consume,
                                  ErrorCode code = ErrorCode::invalid_input);

/// Typed, checked access to the members of a JSON object. Every error names the source (usually a file) and the key
/// ("decoder.layers"), and says what was expected. The plain getters throw where a key is missing; those with a default
/// return it where the key is missing or null, and still reject a wrong value.
class JsonReader {
 public:
  /// `source` names the file in errors, which are thrown with `code`, and `path` the place of the object in it where
  /// that is not the top. Throws where `value` is not an object.
  JsonReader(nlohmann::json value, std::string source, ErrorCode code = ErrorCode::invalid_input,
             std::string path = {});
  /// Reads a file that holds an object.
  static JsonReader open(const std::filesystem::path& path, ErrorCode code = ErrorCode::invalid_input);

  /// Whether the key is there and not null.
  bool has(std::string_view key) const;

  /// An integer of [min, max]; 12.0 is not an integer.
  std::int64_t get_int(std::string_view key, std::int64_t min, std::int64_t max) const;
  std::int64_t get_int(std::string_view key, std::int64_t min, std::int64_t max, std::int64_t otherwise) const;
  /// A finite number of [min, max].
  double get_number(std::string_view key, double min, double max) const;
  double get_number(std::string_view key, double min, double max, double otherwise) const;
  bool get_bool(std::string_view key) const;
  bool get_bool(std::string_view key, bool otherwise) const;
  std::string get_string(std::string_view key) const;
  std::string get_string(std::string_view key, std::string_view otherwise) const;
  /// A string out of a closed set; the error lists the set.
  std::string get_choice(std::string_view key, const std::vector<std::string>& choices) const;
  std::string get_choice(std::string_view key, const std::vector<std::string>& choices,
                         std::string_view otherwise) const;
  /// Arrays of at most `max_count` elements.
  std::vector<std::int64_t> get_ints(std::string_view key, std::size_t max_count, std::int64_t min,
                                     std::int64_t max) const;
  std::vector<double> get_numbers(std::string_view key, std::size_t max_count, double min, double max) const;
  std::vector<std::string> get_strings(std::string_view key, std::size_t max_count) const;

  /// A nested object; its keys appear in errors as "key.inner".
  JsonReader get_object(std::string_view key) const;
  /// An array of objects; their keys appear in errors as "key[3].inner".
  std::vector<JsonReader> get_objects(std::string_view key, std::size_t max_count) const;

  /// Throws for the first key that no getter (nor `has`) has asked for so far, with the nearest one that was. Call it
  /// after reading; nested objects check themselves. A misspelt option is then an error rather than a default.
  void reject_unknown_keys() const;

  /// The object itself.
  const nlohmann::json& json() const { return *value_; }
  const std::string& source() const { return source_; }
  /// Where the object stands in the file ("images[3]"); empty at the top.
  const std::string& path() const { return path_; }

 private:
  JsonReader(std::shared_ptr<const nlohmann::json> value, std::string source, ErrorCode code, std::string path);

  const nlohmann::json* find(std::string_view key) const;
  const nlohmann::json& require(std::string_view key) const;
  const nlohmann::json& require_array(std::string_view key, std::size_t max_count) const;
  std::string full_name(std::string_view key) const;
  std::string element_name(std::string_view key, std::size_t index) const;
  std::int64_t as_int(std::string_view name, const nlohmann::json& value, std::int64_t min, std::int64_t max) const;
  double as_number(std::string_view name, const nlohmann::json& value, double min, double max) const;
  std::string as_string(std::string_view name, const nlohmann::json& value) const;
  [[noreturn]] void wrong(std::string_view name, const nlohmann::json& value, std::string_view expected) const;

  std::shared_ptr<const nlohmann::json> value_;  // shares ownership of the whole document
  std::string source_;
  std::string path_;
  ErrorCode code_;
  mutable std::set<std::string, std::less<>> asked_;
};

}  // namespace capdiff
