#include "capdiff/formats/webdataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/base/utf8.h"
#include "capdiff/formats/image_folder.h"
#include "capdiff/formats/json_reader.h"
#include "capdiff/formats/splits.h"
#include "capdiff/formats/tar_archive.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxShardTextBytes = std::uint64_t{1} << 20;
constexpr std::size_t kMaxSampleCaptions = 1000;

/// The members of a shard that share a key.
struct ShardSample {
  std::string key;
  std::optional<TarEntry> picture, json, text;
};

/// A name up to the first dot of its last part, and what follows: WebDataset's rule.
std::pair<std::string, std::string> key_and_extension(const std::string& name) {
  const std::size_t slash = name.rfind('/');
  const std::size_t dot = name.find('.', slash == std::string::npos ? 0 : slash + 1);
  if (dot == std::string::npos) return {name, ""};
  return {name.substr(0, dot), name.substr(dot)};
}

/// Of "tar c .": names, and so splits, are the folder's.
void drop_folder(TarEntry& entry) {
  if (entry.name.starts_with("./")) entry.name.erase(0, 2);
}

std::vector<ShardSample> samples_of(std::span<const std::byte> bytes, const std::string& source) {
  std::vector<ShardSample> samples;
  std::unordered_map<std::string, std::size_t> places;
  for (TarEntry& entry : read_tar_entries(bytes, source)) {
    drop_folder(entry);
    const auto [key, extension] = key_and_extension(entry.name);
    if (extension.rfind('.') != 0) continue;  // key.seg.png belongs to the key and is something else
    const bool picture = is_picture_name("a" + extension), json = extension == ".json", text = extension == ".txt";
    if (!picture && !json && !text) continue;
    if (!is_utf8(entry.name))
      fail(ErrorCode::invalid_input, "{}: the name \"{}\" is not UTF-8", source, printable(entry.name));
    const auto [place, added] = places.emplace(key, samples.size());
    if (added) samples.push_back({key, {}, {}, {}});
    ShardSample& sample = samples[place->second];
    std::optional<TarEntry>& slot = picture ? sample.picture : json ? sample.json : sample.text;
    if (slot)
      fail(ErrorCode::invalid_input, "{}: \"{}\" and \"{}\" are the same part of one sample", source,
           printable(slot->name), printable(entry.name));
    slot = std::move(entry);
  }
  return samples;
}

std::string_view text_of(std::span<const std::byte> bytes, const TarEntry& entry, const std::string& source) {
  if (entry.size > kMaxShardTextBytes)
    fail(ErrorCode::invalid_input, "{}: it has {} bytes; at most {} are read", source, entry.size, kMaxShardTextBytes);
  return {reinterpret_cast<const char*>(bytes.data()) + entry.offset, static_cast<std::size_t>(entry.size)};
}

std::vector<std::string> captions_of(std::span<const std::byte> bytes, const ShardSample& sample,
                                     const std::string& shard) {
  if (sample.json) {
    const std::string source = fmt::format("{}: {}", shard, printable(sample.json->name));
    const JsonReader reader(parse_json(text_of(bytes, *sample.json, source), source), source);
    if (reader.has("caption")) {
      if (reader.json().at("caption").is_array()) return reader.get_strings("caption", kMaxSampleCaptions);
      return {reader.get_string("caption")};
    }
  }
  if (!sample.text) return {};
  const std::string source = fmt::format("{}: {}", shard, printable(sample.text->name));
  const std::string_view text = text_of(bytes, *sample.text, source);
  if (!is_utf8(text)) fail(ErrorCode::invalid_input, "{}: the text is not UTF-8", source);
  return caption_lines(text);
}

void read_shard(const fs::path& path, double validation_share, CaptionDataset& dataset) {
  const auto file = MappedFile::open(path);
  const std::optional<std::string> split = split_in_name(path.stem().string());
  for (ShardSample& sample : samples_of(file->bytes(), path.string())) {
    if (!sample.picture) continue;
    std::vector<std::string> captions = captions_of(file->bytes(), sample, path.string());
    if (captions.empty()) continue;
    dataset.images.push_back({static_cast<std::int64_t>(dataset.images.size()) + 1, std::move(sample.picture->name),
                              split ? *split : split_by_hash(sample.key, validation_share), std::move(captions), path,
                              sample.picture->offset, sample.picture->size});
  }
}

}  // namespace

bool is_tar_name(const fs::path& path) {
  return lower_extension(path) == ".tar";
}

std::vector<fs::path> tar_shards(const fs::path& folder) {
  std::vector<fs::path> shards;
  try {
    for (const fs::directory_entry& entry : fs::directory_iterator(folder))
      if (entry.is_regular_file() && is_tar_name(entry.path())) shards.push_back(entry.path());
  } catch (const fs::filesystem_error& error) {
    fail(ErrorCode::io, "{}: {}", folder.string(), error.code().message());
  }
  std::ranges::sort(shards);
  return shards;
}

ShardPictures shard_pictures(const fs::path& shard) {
  ShardPictures found;
  const auto file = MappedFile::open(shard);
  std::vector<TarEntry> entries = read_tar_entries(file->bytes(), shard.string(), &found.damage);
  std::unordered_set<std::string> keys;
  for (TarEntry& entry : entries) {
    drop_folder(entry);
    const auto [key, extension] = key_and_extension(entry.name);
    if (is_picture_name("a" + extension) && extension.rfind('.') == 0) keys.insert(key);
  }
  for (TarEntry& entry : entries) {
    const auto [key, extension] = key_and_extension(entry.name);
    if (is_foreign_picture_name(entry.name))
      ++found.passed_over[lower_extension(entry.name)];
    else if (!is_picture_name(entry.name))
      continue;
    else if (extension.rfind('.') != 0 && keys.contains(key))
      ++found.passed_over[extension];
    else
      found.pictures.push_back(std::move(entry));
  }
  return found;
}

CaptionDataset read_webdataset(const fs::path& path, const std::vector<std::string>& splits, double validation_share) {
  CaptionDataset dataset{path.stem().string(), {}, path};
  for (const fs::path& shard : fs::is_directory(path) ? tar_shards(path) : std::vector{path})
    read_shard(shard, validation_share, dataset);
  if (dataset.images.empty())
    fail(ErrorCode::invalid_input, "{}: no picture with a caption (key.jpg with key.json or key.txt) in any tar file",
         path.string());
  keep_splits(dataset, splits, path.string());
  return dataset;
}

}  // namespace capdiff
