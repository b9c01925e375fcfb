#include "capdiff/training/recipe.h"

#include <toml++/toml.h>

#include <array>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/base/philox.h"
#include "capdiff/training/random_streams.h"

namespace capdiff {
namespace {

constexpr std::size_t kMaxRecipeBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxSplits = 16;
constexpr int kMaxDepth = 32;
constexpr std::array kDataPaths{"dataset", "images", "unlabelled", "captions", "teacher"};
constexpr int kMaxBases = 8;
constexpr std::array kTables{"data",       "from",           "model",           "scheduler",        "generation",
                             "vocabulary", "language_model", "statistics",      "text_diffusion",   "image_encoder",
                             "ladic",      "clip",           "word_vocabulary", "prefix_diffusion", "autoregressive",
                             "validation"};

toml::table parse_toml(std::string_view text, const std::string& source) {
  try {
    return toml::parse(text, source);
  } catch (const toml::parse_error& error) {
    const toml::source_position at = error.source().begin;
    fail(ErrorCode::usage, "{}:{}:{}: {}", source, at.line, at.column, error.description());
  }
}

nlohmann::json to_json(const toml::node& node, const std::string& source, int depth = 0) {
  if (depth > kMaxDepth) fail(ErrorCode::usage, "{}: tables are nested deeper than {} levels", source, kMaxDepth);
  if (const toml::table* table = node.as_table()) {
    nlohmann::json object = nlohmann::json::object();
    for (const auto& [key, value] : *table) object[std::string(key.str())] = to_json(value, source, depth + 1);
    return object;
  }
  if (const toml::array* array = node.as_array()) {
    nlohmann::json list = nlohmann::json::array();
    for (const toml::node& value : *array) list.push_back(to_json(value, source, depth + 1));
    return list;
  }
  if (const auto* value = node.as_string()) return value->get();
  if (const auto* value = node.as_integer()) return value->get();
  if (const auto* value = node.as_floating_point()) return value->get();
  if (const auto* value = node.as_boolean()) return value->get();
  fail(ErrorCode::usage, "{}:{}: dates and times mean nothing in a recipe", source, node.source().begin.line);
}

/// Puts what `base` has and `table` lacks into `table`, tables within tables likewise.
void inherit(toml::table& table, const toml::table& base) {
  for (const auto& [key, value] : base) {
    toml::node* own = table.get(key.str());
    if (own == nullptr)
      value.visit([&](const auto& known) { table.insert(key.str(), known); });
    else if (own->is_table() && value.is_table())
      inherit(*own->as_table(), *value.as_table());
  }
}

/// The document with all that its `base`, a path relative to it, and the base of that say beyond it.
toml::table read_document(const std::filesystem::path& path, int depth = 0) {
  if (depth > kMaxBases)
    fail(ErrorCode::usage, "{}: more than {} recipes, each the base of another", path.string(), kMaxBases);
  toml::table document = parse_toml(read_text(path, kMaxRecipeBytes), path.string());
  const toml::node* base = document.get("base");
  if (base == nullptr) return document;
  if (!base->is_string()) fail(ErrorCode::usage, "{}: base: expected the path of another recipe", path.string());
  const std::filesystem::path base_path = path.parent_path() / base->as_string()->get();
  document.erase("base");
  inherit(document, read_document(base_path, depth + 1));
  return document;
}

/// A value given on the command line: TOML where it is, otherwise a string, which then needs no quotes.
void insert_value(toml::table& table, const std::string& key, const std::string& text) {
  try {
    toml::table parsed = toml::parse("value = " + text);
    if (parsed.size() == 1) {
      table.insert_or_assign(key, std::move(*parsed.get("value")));
      return;
    }
  } catch (const toml::parse_error&) {
  }
  table.insert_or_assign(key, text);
}

void apply_override(toml::table& document, const std::string& text) {
  const std::size_t equals = text.find('=');
  const std::string path = text.substr(0, equals);
  if (equals == std::string::npos || path.empty() || path.front() == '.' || path.back() == '.' ||
      path.find("..") != std::string::npos) {
    fail(ErrorCode::usage, "--set {}: expected key=value, for example ladic.learning_rate=1e-4", text);
  }
  std::istringstream parts(path);
  std::vector<std::string> keys;
  for (std::string key; std::getline(parts, key, '.');) keys.push_back(key);
  toml::table* table = &document;
  for (std::size_t i = 0; i + 1 < keys.size(); ++i) {
    toml::node& inner = table->insert(keys[i], toml::table{}).first->second;
    table = inner.as_table();
    if (table == nullptr) fail(ErrorCode::usage, "--set {}: \"{}\" is not a table", text, keys[i]);
  }
  insert_value(*table, keys.back(), text.substr(equals + 1));
}

/// Spells out the settings of the run that the recipe leaves to their defaults.
void add_defaults(toml::table& document, const std::filesystem::path& path) {
  document.insert("name", path.stem().string());
  if (const auto dataset = document["data"].value<std::string>())
    document.insert_or_assign("data", toml::table{{"dataset", std::filesystem::absolute(*dataset).string()}});
  document.insert("seed", 0);
  if (const auto name = document["name"].value<std::string>()) document.insert("output", "runs/" + *name);
  document.insert("compute", "f32");
  document.insert("device", "cpu");
  document.insert("threads", 0);
  document.insert("keep_checkpoints", 2);
  document.insert("rank_timeout", 600);
  const char* root = std::getenv("CAPDIFF_DATA");
  if (root == nullptr) return;
  toml::table* data = document.insert("data", toml::table{}).first->second.as_table();
  if (data != nullptr) data->insert("root", root);
}

}  // namespace

DataOptions::DataOptions(const JsonReader& table, std::uint64_t seed)
    : source_(table.source()), root_(table.get_string("root", "")), seed_(seed) {
  for (const char* key : kDataPaths) {
    if (table.has(key)) paths_[key] = table.get_string(key);
  }
  if (table.has("splits")) splits_ = table.get_strings("splits", kMaxSplits);
  validation_share_ = table.get_number("validation_share", 0.0, 1.0, 0.0);
  share_ = table.get_number("share", 0.0, 1.0, share_);
  table.reject_unknown_keys();
}

bool DataOptions::trains_on(std::int64_t index) const {
  return RandomStream(seed_, static_cast<std::uint32_t>(RandomPurpose::data_share), static_cast<std::uint64_t>(index))
             .uniform() < share_;
}

std::filesystem::path DataOptions::path(std::string_view key) const {
  const auto found = paths_.find(key);
  if (found == paths_.end()) fail(ErrorCode::usage, "{}: a stage of training needs data.{}", source_, key);
  if (root_.empty() && found->second.is_relative()) {
    fail(ErrorCode::usage, "{}: data.{} is relative to data.root or $CAPDIFF_DATA, and neither is given", source_, key);
  }
  return root_ / found->second;
}

Recipe Recipe::load(const std::filesystem::path& path, std::span<const std::string> overrides) {
  toml::table document = read_document(path);
  for (const std::string& text : overrides) apply_override(document, text);
  add_defaults(document, path);
  Recipe recipe(to_json(document, path.string()), path);
  std::ostringstream text;
  text << toml::toml_formatter(document) << '\n';
  recipe.toml_ = text.str();
  return recipe;
}

Recipe::Recipe(const nlohmann::json& document, const std::filesystem::path& path)
    : document_(std::in_place, document, path.string(), ErrorCode::usage) {
  const JsonReader& reader = *document_;
  name_ = reader.get_string("name");
  if (name_.empty() || name_.starts_with('.') || name_.find('/') != std::string::npos) {
    fail(ErrorCode::usage, "{}: name: \"{}\" cannot name a folder", reader.source(), name_);
  }
  seed_ = static_cast<std::uint64_t>(reader.get_int("seed", 0, std::numeric_limits<std::int64_t>::max()));
  output_ = reader.get_string("output");
  backend_.compute = reader.get_choice("compute", {"f32", "bf16"}) == "bf16" ? DType::bf16 : DType::f32;
  backend_.threads = static_cast<int>(reader.get_int("threads", 0, 1024));
  device_ = reader.get_choice("device", {"cpu", "cuda"});
  keep_checkpoints_ = static_cast<int>(reader.get_int("keep_checkpoints", 1, 1'000'000));
  rank_timeout_ = std::chrono::seconds(reader.get_int("rank_timeout", 1, 1'000'000));
  for (const char* table : kTables) {
    if (reader.has(table)) reader.get_object(table);
  }
  if (reader.has("data")) data_ = DataOptions(reader.get_object("data"), seed_);
  reader.reject_unknown_keys();
}

bool Recipe::has(std::string_view table) const {
  return document_->has(table);
}

JsonReader Recipe::table(std::string_view name) const {
  return document_->get_object(name);
}

}  // namespace capdiff
