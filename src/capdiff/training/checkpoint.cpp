#include "capdiff/training/checkpoint.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/base/hash.h"
#include "capdiff/formats/json_reader.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStepPrefix = "step-";
constexpr std::string_view kExtension = ".safetensors";
constexpr std::size_t kMaxFiles = 16;

/// What a checkpoint remembers of a tensor: "F32 [2, 3] 0123456789abcdef", the number being its XXH3.
std::string description_of(const HostTensor& tensor) {
  return fmt::format("{} {} {:016x}", name_of(tensor.dtype()), to_string(tensor.shape()), xxh3_64(tensor.bytes()));
}

nlohmann::json describe(const std::map<std::string, HostTensor>& tensors) {
  nlohmann::json descriptions = nlohmann::json::object();
  for (const auto& [name, tensor] : tensors) descriptions[name] = description_of(tensor);
  return descriptions;
}

/// Throws where the file does not hold exactly the tensors that were written.
void check_tensors(const SafetensorsFile& file, const JsonReader& descriptions) {
  if (file.entries().size() != descriptions.json().size()) {
    fail(ErrorCode::invalid_model, "{}: has {} tensors, expected {}", file.name(), file.entries().size(),
         descriptions.json().size());
  }
  for (const std::string& name : file.names()) {
    const std::string expected = descriptions.get_string(name);
    if (const std::string found = description_of(file.tensor(name)); found != expected) {
      fail(ErrorCode::invalid_model, "{}: tensor {} is damaged: it is {}, expected {}", file.name(), name, found,
           expected);
    }
  }
}

/// Makes new and renamed entries of a folder survive a crash of the machine.
void flush_folder(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool flushed = descriptor >= 0 && ::fsync(descriptor) == 0;
  const int error = errno;
  if (descriptor >= 0) ::close(descriptor);
  if (!flushed) fail(ErrorCode::io, "{}: cannot be flushed to disk: {}", folder.string(), std::strerror(error));
}

/// Runs a file-system call of the standard library, whose own exceptions are not an `Error`.
template <class Work>
void on_disk(const Work& work) {
  try {
    work();
  } catch (const fs::filesystem_error& error) {
    fail(ErrorCode::io, "{}: {}", error.path1().string(), error.code().message());
  }
}

nlohmann::json to_json(const TrainingState& state) {
  return {{"step", state.step}, {"draw", state.draw},       {"items", state.items},
          {"seed", state.seed}, {"skipped", state.skipped}, {"seconds", state.seconds}};
}

/// Seeds are 64 bits without sign, which `JsonReader` does not read.
std::uint64_t read_u64(const JsonReader& reader, const char* key) {
  if (!reader.has(key) || !reader.json().at(key).is_number_unsigned()) {
    fail(ErrorCode::invalid_model, "{}: {} must be an integer without sign", reader.source(), key);
  }
  return reader.json().at(key).get<std::uint64_t>();
}

TrainingState state_from_json(const JsonReader& reader) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  TrainingState state;
  state.step = reader.get_int("step", 0, kMax);
  state.draw = read_u64(reader, "draw");
  state.items = reader.get_int("items", 1, kMax);
  state.seed = read_u64(reader, "seed");
  state.skipped = reader.get_int("skipped", 0, kMax);
  state.seconds = reader.get_number("seconds", 0, 1e12);
  return state;
}

/// Folders named step-N, newest first.
std::vector<std::pair<std::int64_t, fs::path>> list_checkpoints(const fs::path& folder) {
  std::vector<std::pair<std::int64_t, fs::path>> found;
  if (!fs::is_directory(folder)) return found;
  on_disk([&] {
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (!name.starts_with(kStepPrefix)) continue;
      std::int64_t step = 0;
      const char* end = name.data() + name.size();
      const auto [stop, error] = std::from_chars(name.data() + kStepPrefix.size(), end, step);
      if (error == std::errc() && stop == end) found.emplace_back(step, entry.path());
    }
  });
  std::ranges::sort(found, std::greater<>());
  return found;
}

void write_checkpoint(const fs::path& folder, const TrainingState& state, const CheckpointTensors& tensors) {
  on_disk([&] {
    fs::remove_all(folder);
    fs::create_directories(folder);
  });
  nlohmann::json manifest = to_json(state);
  manifest["files"] = nlohmann::json::array();
  for (const auto& [file, values] : tensors) {
    write_safetensors(folder / (file + std::string(kExtension)), values);
    manifest["files"].push_back({{"name", file}, {"tensors", describe(values)}});
  }
  write_file_atomically(folder / "state.json", manifest.dump(2) + "\n");
  flush_folder(folder);
}

}  // namespace

const SafetensorsFile& Checkpoint::file(const std::string& name) const {
  const auto found = files.find(name);
  if (found == files.end()) {
    fail(ErrorCode::invalid_model, "{}: the checkpoint has no {}{}", path.string(), name, kExtension);
  }
  return found->second;
}

fs::path checkpoint_path(const fs::path& folder, std::int64_t step) {
  return folder / fmt::format("{}{:06}", kStepPrefix, step);
}

Checkpoint read_checkpoint(const fs::path& path) {
  const JsonReader reader = JsonReader::open(path / "state.json", ErrorCode::invalid_model);
  Checkpoint checkpoint{path, state_from_json(reader), {}};
  for (const JsonReader& file : reader.get_objects("files", kMaxFiles)) {
    const std::string name = file.get_string("name");
    const fs::path target = path / (name + std::string(kExtension));
    if (name.find('/') != std::string::npos) {
      fail(ErrorCode::invalid_model, "{}: \"{}\" is not the name of a file", reader.source(), name);
    }
    const auto opened = checkpoint.files.emplace(name, SafetensorsFile::open(target)).first;
    check_tensors(opened->second, file.get_object("tensors"));
  }
  return checkpoint;
}

void save_checkpoint(const fs::path& folder, const TrainingState& state, const CheckpointTensors& tensors, int keep) {
  const std::string name = fmt::format("{}{:06}", kStepPrefix, state.step);
  const fs::path temporary = folder / ("." + name + ".partial");
  const fs::path target = folder / name;
  try {
    write_checkpoint(temporary, state, tensors);
    on_disk([&] {
      fs::remove_all(target);  // a damaged one of the same step
      fs::rename(temporary, target);
    });
  } catch (const Error&) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);  // on a full disk, room for others
    throw;
  }
  flush_folder(folder);
  const auto all = list_checkpoints(folder);
  on_disk([&] {
    for (std::size_t i = static_cast<std::size_t>(keep); i < all.size(); ++i) fs::remove_all(all[i].second);
  });
}

std::optional<Checkpoint> latest_checkpoint(const fs::path& folder) {
  for (const auto& [step, path] : list_checkpoints(folder)) {
    try {
      return read_checkpoint(path);
    } catch (const Error& error) {
      spdlog::warn("checkpoint {} is passed over: {}", path.string(), error.what());
    }
  }
  return std::nullopt;
}

}  // namespace capdiff
