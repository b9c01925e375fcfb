#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "apps/capdiff/command.h"
#include "capdiff/base/error.h"
#include "capdiff/base/hash.h"
#include "capdiff/formats/weights_file.h"

namespace capdiff::app {
namespace {

namespace fs = std::filesystem;

struct InfoOptions {
  std::string path;
  bool hash = false;
  bool json = false;
};

/// The weight files that an argument stands for.
std::vector<fs::path> weight_files(const fs::path& path) {
  if (!fs::exists(path)) fail(ErrorCode::not_found, "{}: no such file or folder", path.string());
  if (!fs::is_directory(path)) return {path};
  std::vector<fs::path> files;
  for (const char* name : {"model.safetensors", "image_encoder.safetensors", "statistics.safetensors"})
    if (fs::exists(path / name)) files.push_back(path / name);
  if (files.empty()) fail(ErrorCode::not_found, "{}: no model.safetensors in this folder", path.string());
  return files;
}

/// Elements of the tensors that share the first part of their names: "diffuser" of "diffuser.encoder.…".
using PartSizes = std::map<std::string, std::int64_t>;

void print_parts(const PartSizes& parts) {
  for (const auto& [part, elements] : parts)
    fmt::print("{:<32} {:>9.2f} million elements\n", part, static_cast<double>(elements) / 1e6);
}

int info(const InfoOptions& options) {
  nlohmann::ordered_json tensors = nlohmann::ordered_json::array();
  std::int64_t elements = 0;
  PartSizes parts;
  for (const fs::path& path : weight_files(options.path)) {
    const WeightsFile file = WeightsFile::open(path);
    for (const auto& [name, type] : file.entries()) {
      nlohmann::ordered_json tensor{{"name", name}, {"dtype", name_of(type.dtype)}, {"shape", type.shape.sizes()}};
      if (options.hash) tensor["sha256"] = sha256_hex(file.tensor(name).bytes());
      file.forget_pages();
      elements += type.shape.numel();
      parts[name.substr(0, name.find('.'))] += type.shape.numel();
      tensors.push_back(std::move(tensor));
    }
  }
  if (options.json) {
    fmt::print("{}\n", nlohmann::ordered_json{{"tensors", tensors}}.dump(2));
    return kDone;
  }
  for (const auto& tensor : tensors)
    fmt::print("{:<80} {:<5} {}{}\n", tensor["name"].get<std::string>(), tensor["dtype"].get<std::string>(),
               tensor["shape"].dump(), options.hash ? "  " + tensor["sha256"].get<std::string>() : "");
  if (fs::is_directory(options.path)) print_parts(parts);
  fmt::print("{} tensors, {} elements\n", tensors.size(), elements);
  return kDone;
}

}  // namespace

void add_info(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("info", "List the tensors of a model folder, a safetensors file or a torch checkpoint");
  auto options = std::make_shared<InfoOptions>();
  command->add_option("PATH", options->path, "Model folder or file")->required();
  command->add_flag("--hash", options->hash, "SHA-256 of every tensor's bytes");
  command->add_flag("--json", options->json, "Print one JSON object");
  add_configuration(*command, action, [options] { return info(*options); });
}

}  // namespace capdiff::app
