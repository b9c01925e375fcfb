#include <fmt/format.h>

#include "apps/capdiff/command.h"

namespace capdiff::app {

void add_configuration(CLI::App& command, Action& action, Action run) {
  command.set_config("--config", "", "TOML file with any of these options")->type_name("FILE");
  auto dump = std::make_shared<bool>(false);
  command.add_flag("--dump-config", *dump, "Print the options in force as TOML and stop")->configurable(false);
  command.callback([&command, &action, run, dump] {
    if (*dump)
      action = [&command] {
        fmt::print("{}", command.config_to_str(true, false));
        return static_cast<int>(kDone);
      };
    else
      action = run;
  });
}

}  // namespace capdiff::app
