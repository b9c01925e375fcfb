#include "apps/capdiff/inputs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <iterator>
#include <unordered_set>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/base/hash.h"
#include "capdiff/base/utf8.h"
#include "capdiff/formats/image_folder.h"
#include "capdiff/formats/webdataset.h"
#include "capdiff/image/decode.h"

namespace capdiff::app {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxStandardInput = std::size_t{1} << 30;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr const char* kExtensions = ".jpg, .jpeg, .png, .webp";

std::vector<std::byte> read_standard_input() {
  std::vector<std::byte> bytes;
  std::vector<std::byte> chunk(std::size_t{1} << 16);
  for (;;) {
    const ssize_t got = ::read(STDIN_FILENO, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(ErrorCode::io, "standard input cannot be read");
    if (got == 0) break;
    bytes.insert(bytes.end(), chunk.begin(), chunk.begin() + got);
    if (bytes.size() > kMaxStandardInput) fail(ErrorCode::unsupported, "standard input is larger than 1 GiB");
  }
  return bytes;
}

Input failed_input(const std::string& name, const std::string& error) {
  return {name, "", fs::path(name), error};
}

Input file_input(const fs::path& file, const fs::path& folder) {
  return {file.string(), file.lexically_relative(folder).string(), file, ""};
}

/// What a folder has in it.
struct FolderContents {
  std::vector<Input> pictures;  ///< and what could not be looked into
  std::vector<fs::path> shards;
  std::map<std::string, std::size_t> passed_over;
};

std::string counts_text(const std::map<std::string, std::size_t>& counts) {
  std::vector<std::string> parts;
  for (const auto& [kind, count] : counts) parts.push_back(fmt::format("{} {}", count, without_controls(kind)));
  return fmt::format("{}", fmt::join(parts, ", "));
}

void look_into(const fs::path& folder, const fs::path& top, bool recursive, FolderContents& contents) {
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    const fs::path& path = entry->path();
    if (entry->is_directory(ignored)) {
      // Links to folders are left alone: they lead out of the tree or round in circles.
      if (recursive && !entry->is_symlink(ignored)) look_into(path, top, recursive, contents);
    } else if (is_picture_name(path)) {
      if (entry->is_regular_file(ignored))
        contents.pictures.push_back(file_input(path, top));
      else if (entry->is_symlink(ignored) && !entry->exists(ignored))
        contents.pictures.push_back(failed_input(path.string(), fmt::format("{}: a link to nothing", path.string())));
    } else if (is_tar_name(path) && entry->is_regular_file(ignored)) {
      contents.shards.push_back(path);
    } else if (is_foreign_picture_name(path) && entry->is_regular_file(ignored)) {
      ++contents.passed_over[lower_extension(path)];
    }
  }
  if (error)
    contents.pictures.push_back(failed_input(folder.string(), fmt::format("{}: {}", folder.string(), error.message())));
}

void append_shard(InputList& list, const fs::path& shard, const std::string& key) {
  ShardPictures found;
  try {
    found = shard_pictures(shard);
  } catch (const Error& error) {
    found.damage = error.what();
  }
  for (TarEntry& picture : found.pictures) {
    Input& input = list.pictures.emplace_back(
        Input{shard.string() + "/" + picture.name, key + "/" + picture.name, PhotoSource(shard), ""});
    input.photo.member = std::move(picture.name);
    input.photo.offset = picture.offset;
    input.photo.size = picture.size;
  }
  for (const auto& [kind, count] : found.passed_over) list.passed_over[kind] += count;
  if (found.pictures.empty() && found.damage.empty())
    found.damage = fmt::format("{}: there are no pictures ({}) in it", shard.string(), kExtensions);
  if (!found.damage.empty()) list.pictures.push_back(failed_input(shard.string(), found.damage));
}

void append_folder(InputList& list, const std::string& folder, bool recursive) {
  FolderContents contents;
  look_into(folder, folder, recursive, contents);
  std::ranges::sort(contents.pictures, {}, &Input::name);
  std::ranges::sort(contents.shards);
  if (contents.pictures.empty()) {
    for (const fs::path& shard : contents.shards) append_shard(list, shard, shard.lexically_relative(folder).string());
    if (contents.shards.empty())
      list.pictures.push_back(failed_input(
          folder, fmt::format("{}: the folder has no pictures ({}) in it{}{}", folder, kExtensions,
                              contents.passed_over.empty() ? "" : ", but " + counts_text(contents.passed_over),
                              recursive ? "" : "; --recursive looks into its subfolders")));
  } else {
    std::ranges::move(contents.pictures, std::back_inserter(list.pictures));
    if (!contents.shards.empty()) list.passed_over[".tar"] += contents.shards.size();
  }
  for (const auto& [kind, count] : contents.passed_over) list.passed_over[kind] += count;
}

}  // namespace

std::string InputList::passed_over_text() const {
  return counts_text(passed_over);
}

InputList expand_inputs(const std::vector<std::string>& arguments, bool recursive) {
  InputList list;
  for (const std::string& argument : arguments) {
    std::error_code ignored;
    if (argument != "-" && fs::is_directory(argument, ignored))
      append_folder(list, argument, recursive);
    else if (is_tar_name(argument))
      append_shard(list, argument, argument);
    else
      list.pictures.push_back(single_input(argument));
  }
  std::unordered_set<std::string> names;
  std::erase_if(list.pictures, [&](const Input& input) { return !names.insert(input.name).second; });
  return list;
}

void take_standard_input(std::span<Input> inputs) {
  for (Input& input : inputs) {
    if (input.name != "-") continue;
    try {
      input.bytes = read_standard_input();
    } catch (const Error& error) {
      input.error = error.what();
    }
  }
}

Input single_input(const std::string& name) {
  return {name, name, fs::path(name), ""};
}

std::vector<std::string> read_path_list(const std::string& file) {
  const std::vector<std::byte> bytes = file == "-" ? read_standard_input() : read_file(file, kMaxStandardInput);
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  const char separator = text.find('\0') == std::string_view::npos ? '\n' : '\0';
  std::vector<std::string> paths;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(separator, begin), text.size());
    std::string_view path = text.substr(begin, end - begin);
    begin = end + 1;
    if (separator == '\n' && path.ends_with('\r')) path.remove_suffix(1);
    if (!path.empty()) paths.emplace_back(path);
  }
  return paths;
}

bool Shard::has(const Input& input) const {
  return xxh3_64(std::as_bytes(std::span(input.key))) % count == number - 1;
}

Shard parse_shard(const std::string& text) {
  Shard shard;
  const char* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, shard.number);
  const bool slash = first.ec == std::errc{} && first.ptr != end && *first.ptr == '/';
  const auto second = std::from_chars(slash ? first.ptr + 1 : end, end, shard.count);
  if (!slash || second.ec != std::errc{} || second.ptr != end || shard.number < 1 || shard.number > shard.count)
    fail(ErrorCode::usage, "--shard {}: expected I/N with I from 1 to N, such as 1/4 to 4/4", text);
  return shard;
}

Image read_input(const Input& input, const DecodeOptions& options) {
  if (!input.error.empty()) fail(ErrorCode::invalid_input, "{}", input.error);
  if (input.bytes) return decode(*input.bytes, "standard input", options);
  if (input.name == "-") return decode(read_standard_input(), "standard input", options);
  return read_photo(input.photo, options);
}

}  // namespace capdiff::app
