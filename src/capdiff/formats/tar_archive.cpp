#include "capdiff/formats/tar_archive.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <string_view>

#include "capdiff/base/error.h"
#include "capdiff/base/utf8.h"

namespace capdiff {
namespace {

constexpr std::uint64_t kTarBlock = 512;
constexpr std::uint64_t kMaxTarExtension = 1 << 20;  // bytes of a pax header or a long name
constexpr std::size_t kMaxTarName = 4096;

/// A field of a tar header.
struct TarField {
  std::size_t begin, size;
};
constexpr TarField kTarName{0, 100}, kTarSize{124, 12}, kTarChecksum{148, 8}, kTarType{156, 1}, kTarMagic{257, 6},
    kTarPrefix{345, 155};

std::string_view up_to_zero(std::string_view text) {
  return text.substr(0, text.find('\0'));
}

/// What the headers before a file say about it in place of its own.
struct TarExtensions {
  std::optional<std::string> name;
  std::optional<std::uint64_t> size;
};

class TarReader {
 public:
  TarReader(std::span<const std::byte> archive, const std::string& source)
      : bytes_(reinterpret_cast<const char*>(archive.data()), archive.size()), source_(source) {}

  /// Adds the files to `found` as it comes to them.
  void read(std::vector<TarEntry>& found) {
    TarExtensions extensions;
    while (!at_end()) {
      const std::uint64_t header = position_;
      check_checksum(header);
      const char type = field(header, kTarType)[0];
      const bool extension = type == 'x' || type == 'g' || type == 'L' || type == 'K';
      std::uint64_t size = type == '1' ? 0 : number(header, kTarSize, "size");  // a hard link's is that of its target
      if (!extension && extensions.size) size = *extensions.size;
      const std::string_view data = take_data(size);
      if (extension) {
        if (size > kMaxTarExtension) broken(header, "the header has an extension of {} bytes", size);
        if (type == 'x') read_pax(header, data, extensions);
        if (type == 'L') extensions.name = up_to_zero(data);
        continue;
      }
      if (type == 'S') fail(ErrorCode::unsupported, "{}: sparse files in tar files are not read", source_);
      if (type == '0' || type == '\0' || type == '7') {
        std::string name = extensions.name ? *extensions.name : header_name(header);
        if (name.empty() || name.size() > kMaxTarName || name.find('\0') != std::string::npos)
          broken(header, "a file has the name \"{}\"", printable(name));
        // Before POSIX a folder was a file whose name ends in a slash.
        if (name.back() != '/') found.push_back({std::move(name), header + kTarBlock, size});
      }
      extensions = {};
    }
  }

 private:
  template <class... Args>
  [[noreturn]] void broken(std::uint64_t at, fmt::format_string<Args...> reason, Args&&... args) const {
    fail(ErrorCode::invalid_input, "{}: at byte {} of the tar file {}", source_, at,
         fmt::format(reason, std::forward<Args>(args)...));
  }

  /// Whether two empty blocks stand here; a lone one before the end of the file does as well.
  bool at_end() const {
    const std::string_view rest = bytes_.substr(static_cast<std::size_t>(position_));
    if (rest.size() < kTarBlock)
      fail(ErrorCode::invalid_input, "{}: the tar file ends without an end mark: it is truncated, or is none", source_);
    const std::string_view end = rest.substr(0, 2 * kTarBlock);
    return std::ranges::all_of(end, [](char c) { return c == '\0'; });
  }

  std::string_view field(std::uint64_t header, TarField part) const {
    return bytes_.substr(static_cast<std::size_t>(header) + part.begin, part.size);
  }

  /// The checksum is the sum of the header's bytes, its own taken as blanks.
  void check_checksum(std::uint64_t header) const {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < kTarBlock; ++i) {
      const bool own = i >= kTarChecksum.begin && i < kTarChecksum.begin + kTarChecksum.size;
      sum += own ? ' ' : static_cast<unsigned char>(bytes_[static_cast<std::size_t>(header) + i]);
    }
    if (sum != number(header, kTarChecksum, "checksum")) broken(header, "the checksum of a header is wrong");
  }

  /// An octal number between blanks and zero bytes, or GNU's binary form, whose first bit is set.
  std::uint64_t number(std::uint64_t header, TarField part, const char* what) const {
    std::string_view text = field(header, part);
    if ((static_cast<unsigned char>(text[0]) & 0x80) != 0) {
      std::uint64_t value = static_cast<unsigned char>(text[0]) & 0x7f;
      for (const char c : text.substr(1)) {
        if (value > std::numeric_limits<std::uint64_t>::max() >> 8) broken(header, "the {} is too large", what);
        value = value << 8 | static_cast<unsigned char>(c);
      }
      return value;
    }
    text = up_to_zero(text);
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    text = text.substr(0, text.find(' '));
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 8);
    if (!text.empty() && (error != std::errc() || end != text.data() + text.size()))
      broken(header, "the {} \"{}\" is no octal number", what, printable(text));
    return value;
  }

  /// The data behind the header at `position_`, which moves on to the next header.
  std::string_view take_data(std::uint64_t size) {
    const std::uint64_t data = position_ + kTarBlock;
    if (size > bytes_.size() - data) broken(position_, "{} bytes of data do not fit in the file", size);
    const std::uint64_t padding = (kTarBlock - size % kTarBlock) % kTarBlock;
    position_ = std::min<std::uint64_t>(data + size + padding, bytes_.size());
    return bytes_.substr(static_cast<std::size_t>(data), static_cast<std::size_t>(size));
  }

  /// Records "LENGTH key=value\n", LENGTH counting the whole record.
  void read_pax(std::uint64_t header, std::string_view data, TarExtensions& extensions) const {
    while (!data.empty()) {
      std::size_t length = 0;
      const auto [end, error] = std::from_chars(data.data(), data.data() + data.size(), length);
      const auto digits = static_cast<std::size_t>(end - data.data());
      if (error != std::errc() || length > data.size() || length < digits + 3 || data[digits] != ' ' ||
          data[length - 1] != '\n')
        broken(header, "a pax record is malformed");
      const std::string_view record = data.substr(digits + 1, length - digits - 2);
      data.remove_prefix(length);
      const std::size_t equals = record.find('=');
      if (equals == std::string_view::npos) broken(header, "a pax record has no value");
      const std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
      if (key.starts_with("GNU.sparse."))
        fail(ErrorCode::unsupported, "{}: sparse files in tar files are not read", source_);
      if (key == "path") extensions.name = value;
      if (key != "size") continue;
      std::uint64_t size = 0;
      const auto [stop, wrong] = std::from_chars(value.data(), value.data() + value.size(), size);
      if (wrong != std::errc() || stop != value.data() + value.size())
        broken(header, "the pax size \"{}\" is no number", printable(value));
      extensions.size = size;
    }
  }

  std::string header_name(std::uint64_t header) const {
    const std::string name(up_to_zero(field(header, kTarName)));
    // GNU's own format says "ustar  " and keeps other things where POSIX has the prefix.
    if (field(header, kTarMagic) != std::string_view("ustar\0", 6)) return name;
    const std::string_view prefix = up_to_zero(field(header, kTarPrefix));
    return prefix.empty() ? name : std::string(prefix) + "/" + name;
  }

  std::string_view bytes_;
  const std::string& source_;
  std::uint64_t position_ = 0;
};

}  // namespace

std::vector<TarEntry> read_tar_entries(std::span<const std::byte> archive, const std::string& source,
                                       std::string* damage) {
  std::vector<TarEntry> found;
  try {
    TarReader(archive, source).read(found);
  } catch (const Error& error) {
    if (!damage) throw;
    *damage = error.what();
  }
  return found;
}

}  // namespace capdiff
