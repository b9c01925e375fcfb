#include "tests/support/tiny_model.h"

#include "capdiff/base/files.h"
#include "capdiff/evaluation/ladic_golden.h"

namespace capdiff::test {

void write_tiny_model(const std::filesystem::path& folder) {
  const std::filesystem::path source = std::filesystem::path(CAPDIFF_SOURCE_DIR) / "tests/data/ladic_tiny";
  const LadicGolden golden(source);
  const LadicConfig config = golden.config(Profile::paper);
  std::filesystem::create_directories(folder);
  for (const char* name : {"model.safetensors", "vocab.txt"})
    std::filesystem::copy_file(source / name, folder / name, std::filesystem::copy_options::overwrite_existing);
  const ParameterStore parameters = golden.parameters();
  const Shape width{config.text.bert.hidden};
  write_safetensors(folder / "statistics.safetensors",
                    {{"mean", parameters.get("statistics.mean", width, Init::zeros()).value},
                     {"std", parameters.get("statistics.std", width, Init::ones()).value}});
  write_file_atomically(folder / "config.json", config.to_json().dump(2));
  write_file_atomically(folder / "scheduler_config.json", config.scheduler_to_json().dump(2));
  write_file_atomically(folder / "preprocessor_config.json", to_json(golden.preprocessor()).dump(2));
  write_file_atomically(folder / "generation_config.json", R"({"steps": 5, "guidance": 1.0, "seed": 7})");
}

}  // namespace capdiff::test
