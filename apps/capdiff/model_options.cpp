#include "apps/capdiff/model_options.h"

#include <fmt/ranges.h>

#include <cstdlib>
#include <vector>

#include "capdiff/backends/processor.h"
#include "capdiff/base/error.h"

namespace capdiff::app {
namespace {

namespace fs = std::filesystem;

DType compute_type(const std::string& name) {
  if (name == "f32") return DType::f32;
  if (name == "bf16") return DType::bf16;
  return automatic_compute_type();
}

std::vector<fs::path> default_places() {
  std::vector<fs::path> places;
  std::error_code ignored;
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
  if (!program.empty()) {
    const fs::path prefix = program.parent_path().parent_path();
    places.push_back(prefix / "models" / "default");
    places.push_back(prefix / "share" / "capdiff" / "models" / "default");
  }
  if (const char* data = std::getenv("XDG_DATA_HOME"); data && *data)
    places.push_back(fs::path(data) / "capdiff" / "models" / "default");
  else if (const char* home = std::getenv("HOME"); home && *home)
    places.push_back(fs::path(home) / ".local" / "share" / "capdiff" / "models" / "default");
  return places;
}

}  // namespace

void add_model_options(CLI::App& command, ModelOptions& options) {
  command.add_option("-m,--model", options.model, "Model folder")->type_name("DIR");
  command.add_option("--steps", options.steps, "Denoising steps (default: the model's, usually 30)")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000}));
  command.add_option("--guidance", options.guidance, "Weight of classifier-free guidance; 0 switches it off")
      ->check(CLI::Range(-100.0, 100.0));
  command.add_option("--seed", options.seed, "Seed of the noise");
  command.add_option("--batch", options.batch, "Pictures per batch")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{4096}))
      ->capture_default_str();
  command.add_option("--dtype", options.dtype, "Arithmetic; auto is bf16 on processors with AMX, else f32")
      ->check(CLI::IsMember({"auto", "f32", "bf16"}))
      ->capture_default_str();
  command.add_option("--threads", options.threads, "CPU threads (0: all)")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command.add_option("--device", options.device, "Where to compute")
      ->check(CLI::IsMember({"cpu"}))
      ->capture_default_str();
  command.add_flag("--deterministic", options.deterministic,
                   "Results independent of batch size and threads to the last bit");
}

fs::path find_model(const std::string& given) {
  if (!given.empty()) return given;
  if (const char* model = std::getenv("CAPDIFF_MODEL"); model && *model) return model;
  const std::vector<fs::path> places = default_places();
  for (const fs::path& place : places)
    if (fs::exists(place / "config.json")) return place;
  std::vector<std::string> names;
  for (const fs::path& place : places) names.push_back(place.string());
  fail(ErrorCode::not_found, "no model: give one with -m DIR or $CAPDIFF_MODEL; looked in {}", fmt::join(names, ", "));
}

LoadedModel load_model(const ModelOptions& options) {
  LoadedModel loaded;
  loaded.path = find_model(options.model);
  const ModelFolder folder = ModelFolder::open(loaded.path);
  loaded.backend = make_onednn_backend(
      {.compute = compute_type(options.dtype), .threads = options.threads, .deterministic = options.deterministic});
  loaded.captioner = load_captioner(folder, *loaded.backend);
  loaded.generation = loaded.captioner->defaults();
  if (options.steps) loaded.generation.steps = *options.steps;
  if (options.guidance) loaded.generation.guidance = *options.guidance;
  if (options.seed) loaded.generation.seed = *options.seed;
  if (options.candidates) loaded.generation.candidates = *options.candidates;
  return loaded;
}

}  // namespace capdiff::app
