#include "capdiff/formats/zip_archive.h"

#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "capdiff/base/error.h"
#include "capdiff/base/utf8.h"

namespace capdiff {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers of a zip file are little-endian");

constexpr std::size_t kMaxEntries = 1'000'000;
constexpr std::size_t kMaxEntryNameBytes = 4096;

constexpr std::uint32_t kLocalSignature = 0x04034b50;
constexpr std::uint32_t kDirectorySignature = 0x02014b50;
constexpr std::uint32_t kEndSignature = 0x06054b50;
constexpr std::uint32_t kEnd64Signature = 0x06064b50;
constexpr std::uint32_t kLocator64Signature = 0x07064b50;

constexpr std::size_t kLocalBytes = 30;
constexpr std::size_t kDirectoryBytes = 46;
constexpr std::size_t kEndBytes = 22;
constexpr std::size_t kEnd64Bytes = 56;
constexpr std::size_t kLocator64Bytes = 20;

constexpr std::uint16_t kEncrypted = 1;
constexpr std::uint16_t kZip64Extra = 1;

/// Where the directory lies.
struct Directory {
  std::uint64_t begin = 0, size = 0, count = 0;
};

/// Reads fields of records at known places, none of which may lie outside the file.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  template <class T>
  T at(std::uint64_t position) const {
    T value;
    std::memcpy(&value, slice(position, sizeof(T)).data(), sizeof(T));
    return value;
  }

  std::span<const std::byte> slice(std::uint64_t position, std::uint64_t count) const {
    if (position > bytes_.size() || count > bytes_.size() - position)
      fail(ErrorCode::invalid_model, "{}: a record of the zip file lies outside the file; it may be truncated", file_);
    return bytes_.subspan(static_cast<std::size_t>(position), static_cast<std::size_t>(count));
  }

  std::string_view text(std::uint64_t position, std::uint64_t count) const {
    const auto bytes = slice(position, count);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  std::size_t size() const { return bytes_.size(); }
  const std::string& file() const { return file_; }

 private:
  std::span<const std::byte> bytes_;
  const std::string& file_;
};

/// Throws unless a 32-bit (or 16-bit) field holds `value`, or all ones, which stand for "see the 64-bit field".
template <class T>
void require_agreement(T field, std::uint64_t value, const std::string& file) {
  if (field != static_cast<T>(~T{0}) && field != value)
    fail(ErrorCode::invalid_model, "{}: the end records of the zip file contradict each other", file);
}

Directory find_directory(const Reader& in) {
  const std::string& file = in.file();
  // The end record is the last thing in the file; a comment may follow inside it.
  constexpr std::size_t kMaxComment = 65535;
  if (in.size() < kEndBytes) fail(ErrorCode::invalid_model, "{} is not a whole zip file", file);
  std::optional<std::size_t> found;
  for (std::size_t comment = 0; comment <= std::min(kMaxComment, in.size() - kEndBytes) && !found; ++comment) {
    const std::size_t at = in.size() - kEndBytes - comment;
    if (in.at<std::uint32_t>(at) == kEndSignature && in.at<std::uint16_t>(at + 20) == comment) found = at;
  }
  if (!found)
    fail(ErrorCode::invalid_model, "{}: the zip file has no end record; it is truncated, or more follows it", file);
  std::size_t end = *found;
  Directory directory{in.at<std::uint32_t>(end + 16), in.at<std::uint32_t>(end + 12), in.at<std::uint16_t>(end + 10)};
  if (in.at<std::uint16_t>(end + 8) != directory.count || in.at<std::uint32_t>(end + 4) != 0)
    fail(ErrorCode::invalid_model, "{} is a part of a zip file in several parts", file);

  if (end >= kLocator64Bytes && in.at<std::uint32_t>(end - kLocator64Bytes) == kLocator64Signature) {
    const auto end64 = in.at<std::uint64_t>(end - kLocator64Bytes + 8);
    if (in.slice(end64, kEnd64Bytes).empty() || in.at<std::uint32_t>(end64) != kEnd64Signature ||
        end64 + kEnd64Bytes != end - kLocator64Bytes)
      fail(ErrorCode::invalid_model, "{}: the zip file has no 64-bit end record where it should be", file);
    const Directory classic = directory;
    directory = {in.at<std::uint64_t>(end64 + 48), in.at<std::uint64_t>(end64 + 40), in.at<std::uint64_t>(end64 + 32)};
    require_agreement(static_cast<std::uint32_t>(classic.begin), directory.begin, file);
    require_agreement(static_cast<std::uint32_t>(classic.size), directory.size, file);
    require_agreement(static_cast<std::uint16_t>(classic.count), directory.count, file);
    end = static_cast<std::size_t>(end64);
  }
  if (directory.begin > end || directory.size != end - directory.begin)
    fail(ErrorCode::invalid_model, "{}: the directory of the zip file is not where its end record says", file);
  if (directory.count > kMaxEntries || directory.count > directory.size / kDirectoryBytes)
    fail(ErrorCode::invalid_model, "{}: the zip file claims {} entries", file, directory.count);
  return directory;
}

/// What the directory says of one entry.
struct Record {
  std::string name;
  std::uint64_t compressed = 0, size = 0, local = 0;
  std::uint32_t crc32 = 0;
  bool is_compressed = false;
};

/// Replaces sizes and offset that are all ones by those of the zip64 extra field, which has them in this order.
void read_zip64_extra(const Reader& in, std::uint64_t begin, std::uint64_t end, Record& record) {
  constexpr std::uint64_t kSeeExtra = 0xffffffff;
  if (record.size != kSeeExtra && record.compressed != kSeeExtra && record.local != kSeeExtra) return;
  while (begin + 4 <= end) {
    const std::uint64_t data = begin + 4, next = data + in.at<std::uint16_t>(begin + 2);
    if (next > end) break;
    if (in.at<std::uint16_t>(begin) == kZip64Extra) {
      std::uint64_t at = data;
      for (std::uint64_t* field : {&record.size, &record.compressed, &record.local}) {
        if (*field != kSeeExtra) continue;
        if (at + 8 > next) break;
        *field = in.at<std::uint64_t>(at);
        at += 8;
      }
      return;
    }
    begin = next;
  }
}

/// Reads the record at `position` of the directory and moves on to the next.
Record read_record(const Reader& in, std::uint64_t& position) {
  const std::string& file = in.file();
  if (in.at<std::uint32_t>(position) != kDirectorySignature)
    fail(ErrorCode::invalid_model, "{}: the directory of the zip file is damaged", file);
  const std::uint64_t name_bytes = in.at<std::uint16_t>(position + 28), extra = in.at<std::uint16_t>(position + 30);
  const std::uint64_t comment = in.at<std::uint16_t>(position + 32);
  Record record{std::string(in.text(position + kDirectoryBytes, name_bytes)),
                in.at<std::uint32_t>(position + 20),
                in.at<std::uint32_t>(position + 24),
                in.at<std::uint32_t>(position + 42),
                in.at<std::uint32_t>(position + 16),
                in.at<std::uint16_t>(position + 10) != 0};
  if (record.name.size() > kMaxEntryNameBytes || !is_utf8(record.name))
    fail(ErrorCode::invalid_model, "{}: the zip file has an entry without a proper name", file);
  if ((in.at<std::uint16_t>(position + 8) & kEncrypted) != 0)
    fail(ErrorCode::unsupported, "{}: the entry \"{}\" is encrypted, which torch never does", file,
         printable(record.name));
  const std::uint64_t extra_begin = position + kDirectoryBytes + name_bytes;
  read_zip64_extra(in, extra_begin, extra_begin + extra, record);
  if (!record.is_compressed && record.compressed != record.size)
    fail(ErrorCode::invalid_model, "{}: the entry \"{}\" has {} bytes where {} are stored", file,
         printable(record.name), record.size, record.compressed);
  position = extra_begin + extra + comment;
  return record;
}

}  // namespace

ZipArchive ZipArchive::parse(std::span<const std::byte> bytes, std::string name) {
  ZipArchive archive;
  archive.name_ = std::move(name);
  const std::string& file = archive.name_;
  const Reader in(bytes, file);
  const Directory directory = find_directory(in);

  std::vector<Record> records;
  records.reserve(static_cast<std::size_t>(directory.count));
  std::uint64_t position = directory.begin;
  for (std::uint64_t i = 0; i < directory.count; ++i) records.push_back(read_record(in, position));
  if (position != directory.begin + directory.size)
    fail(ErrorCode::invalid_model, "{}: the directory of the zip file is longer or shorter than it says", file);
  std::sort(records.begin(), records.end(), [](const Record& a, const Record& b) { return a.local < b.local; });

  std::uint64_t used = 0;  // what entries have taken of the file so far
  for (Record& record : records) {
    const std::uint64_t local = record.local;
    if (local < used || in.slice(local, kLocalBytes).empty() || in.at<std::uint32_t>(local) != kLocalSignature)
      fail(ErrorCode::invalid_model, "{}: the entry \"{}\" is not where the directory says", file,
           printable(record.name));
    const std::uint64_t name_bytes = in.at<std::uint16_t>(local + 26);
    const std::uint64_t data = local + kLocalBytes + name_bytes + in.at<std::uint16_t>(local + 28);
    if (in.text(local + kLocalBytes, name_bytes) != record.name)
      fail(ErrorCode::invalid_model, "{}: the directory calls \"{}\" what its entry calls otherwise", file,
           printable(record.name));
    if (data > directory.begin || record.compressed > directory.begin - data)
      fail(ErrorCode::invalid_model, "{}: the entry \"{}\" of {} bytes does not fit in the file", file,
           printable(record.name), record.compressed);
    used = data + record.compressed;
    const Entry entry{in.slice(data, record.compressed), record.crc32, record.is_compressed};
    if (!archive.entries_.emplace(record.name, entry).second)
      fail(ErrorCode::invalid_model, "{} has the entry \"{}\" twice", file, printable(record.name));
  }
  return archive;
}

const ZipArchive::Entry* ZipArchive::find(std::string_view entry) const {
  const auto found = entries_.find(entry);
  if (found == entries_.end()) return nullptr;
  if (found->second.compressed)
    fail(ErrorCode::unsupported, "{}: the entry \"{}\" is compressed, which torch never does to it", name_,
         printable(entry));
  return &found->second;
}

std::span<const std::byte> ZipArchive::read(std::string_view entry) const {
  const Entry* const found = find(entry);
  if (!found) fail(ErrorCode::invalid_model, "{} has no entry \"{}\"", name_, printable(entry));
  require_checksum(*found, entry, name_);
  return found->bytes;
}

bool looks_like_zip(std::span<const std::byte> bytes) {
  std::uint32_t signature = 0;
  if (bytes.size() < sizeof(signature)) return false;
  std::memcpy(&signature, bytes.data(), sizeof(signature));
  return signature == kLocalSignature;
}

void require_checksum(const ZipArchive::Entry& entry, std::string_view name, const std::string& file) {
  const auto sum = ::crc32_z(0, reinterpret_cast<const Bytef*>(entry.bytes.data()), entry.bytes.size());
  if (static_cast<std::uint32_t>(sum) != entry.crc32)
    fail(ErrorCode::invalid_model, "{}: the entry \"{}\" does not match its checksum; the file is damaged", file,
         printable(name));
}

}  // namespace capdiff
