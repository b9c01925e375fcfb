#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "capdiff/data/photo_source.h"
#include "capdiff/image/image.h"

namespace capdiff::app {

/// One picture to caption, or the reason why an argument gives none.
struct Input {
  std::string name;   ///< the path as results show it; "-" is standard input, "a.tar/b.jpg" a part of a tar file
  std::string key;    ///< the path below the folder that was named, else `name`; the same on every machine
  PhotoSource photo;  ///< where its bytes are
  std::string error;  ///< not empty where there is nothing to read
  std::optional<std::vector<std::byte>> bytes = {};  ///< of standard input, once it has been read

  bool in_archive() const { return !photo.member.empty(); }
};

/// What arguments stand for.
struct InputList {
  std::vector<Input> pictures;
  /// How many files were left alone that somebody may have meant, by how their names end: ".heic", and ".tar" beside
  /// pictures.
  std::map<std::string, std::size_t> passed_over;

  /// "2 .gif, 1 .heic".
  std::string passed_over_text() const;
};

/// The pictures that arguments stand for, in order, each name once. A folder gives its .jpg, .jpeg, .png and .webp
/// files by name, with `recursive` those of its subfolders too, and if it has none, those in its tar files; a tar file
/// gives the pictures in it. Links to files are followed, links to folders below the named one are not. A folder or tar
/// file without pictures is an error that names it.
InputList expand_inputs(const std::vector<std::string>& arguments, bool recursive);

/// Reads standard input into the input that stands for it; what fails becomes that input's error.
void take_standard_input(std::span<Input> inputs);

/// The picture of that name alone, "-" for standard input.
Input single_input(const std::string& name);

/// The paths of a list, one a line, or with NUL behind each as `find -print0` writes them; "-" is standard input.
/// Throws `Error` where the list cannot be read.
std::vector<std::string> read_path_list(const std::string& file);

/// One of N equal shares of all pictures.
struct Shard {
  std::uint64_t number = 1, count = 1;

  /// Whether the picture belongs to this share: XXH3-64 of its key, modulo N, is `number` - 1.
  bool has(const Input& input) const;
};

/// "2/8". Throws `Error(usage)` for anything but I/N with 1 <= I <= N.
Shard parse_shard(const std::string& text);

/// Decodes an input; standard input may hold 1 GiB.
Image read_input(const Input& input, const DecodeOptions& options = {});

}  // namespace capdiff::app
