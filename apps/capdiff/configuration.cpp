#include <fmt/format.h>
#include <toml++/toml.h>

#include <sstream>

#include "apps/capdiff/bracketed.h"
#include "apps/capdiff/command.h"
#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/base/suggestion.h"

namespace capdiff::app {
namespace {

constexpr std::size_t kMaxConfigurationBytes = std::size_t{1} << 20;

std::string text_of(const toml::node& node, const std::string& path, std::string_view key) {
  if (const auto value = node.value_exact<std::string>()) return *value;
  if (const auto value = node.value_exact<bool>()) return *value ? "true" : "false";
  if (const auto value = node.value_exact<std::int64_t>()) return std::to_string(*value);
  if (const auto value = node.value_exact<double>()) return fmt::format("{}", *value);
  fail(ErrorCode::usage, "{}: {} must be a string, a number or a boolean", path, key);
}

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options())
    if (option->get_configurable()) names.push_back(option->get_single_name());
  return names;
}

/// Sets every option that the file has and the command line has not.
void apply_file(CLI::App& command, const std::string& path) {
  toml::table table;
  try {
    table = toml::parse(read_text(path, kMaxConfigurationBytes), path);
  } catch (const toml::parse_error& error) {
    fail(ErrorCode::usage, "{}, line {}: {}", path, error.source().begin.line, error.description());
  }
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    CLI::Option* option = command.get_option_no_throw("--" + name);
    if (!option) option = command.get_option_no_throw(name);
    if (!option || !option->get_configurable())
      fail(ErrorCode::usage, "{}: there is no option '{}'{}", path, name, suggestion(name, option_names(command)));
    if (option->count() > 0) continue;
    if (const toml::array* array = node.as_array()) {
      for (const toml::node& element : *array) option->add_result(with_brackets_kept(text_of(element, path, name)));
    } else {
      option->add_result(with_brackets_kept(text_of(node, path, name)));
    }
    option->run_callback();
  }
}

/// Whether an option is in force; a flag may have been given as false.
bool is_in_force(const CLI::Option& option) {
  if (option.count() == 0) return false;
  return option.get_expected_max() > 0 || option.as<bool>();
}

/// CLI11 looks for options that exclude each other before the file is read.
void check_exclusions(const CLI::App& command) {
  for (const CLI::Option* option : command.get_options())
    for (const CLI::Option* other : option->get_excludes())
      if (is_in_force(*option) && is_in_force(*other))
        fail(ErrorCode::usage, "{} and {} do not go together", option->get_name(), other->get_name());
}

/// The options in force, less those that have no value: what `--config` reads.
std::string dumped(const CLI::App& command) {
  std::string text;
  std::istringstream all(command.config_to_str(true, false));
  for (std::string line; std::getline(all, line);) {
    const std::size_t equals = line.find('=');
    const CLI::Option* option = command.get_option_no_throw("--" + line.substr(0, equals));
    const bool given = equals == std::string::npos || (option && option->count() > 0);
    const std::string value = given ? "" : line.substr(equals + 1);
    if (value == "\"\"" || value == "[]") continue;
    // The one default that is a list: CLI11 writes it as a text, "[text]".
    if (value.starts_with("\"[") && value.ends_with("]\""))
      line.replace(equals + 1, std::string::npos, "[\"" + value.substr(2, value.size() - 4) + "\"]");
    text += line + "\n";
  }
  return text;
}

}  // namespace

void add_configuration(CLI::App& command, Action& action, Action run) {
  struct Given {
    std::string file;
    bool dump = false;
  };
  auto given = std::make_shared<Given>();
  command.add_option("--config", given->file, "TOML file with any of these options")
      ->type_name("FILE")
      ->configurable(false);
  command.add_flag("--dump-config", given->dump, "Print the options in force as TOML and stop")->configurable(false);
  command.callback([&command, &action, run, given] {
    if (!given->file.empty()) {
      apply_file(command, given->file);
      check_exclusions(command);
    }
    action = run;
    if (given->dump)
      action = [&command] {
        fmt::print("{}", dumped(command));
        return static_cast<int>(kDone);
      };
  });
}

}  // namespace capdiff::app
