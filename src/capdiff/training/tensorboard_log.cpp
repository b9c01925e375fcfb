#include "capdiff/training/tensorboard_log.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <chrono>
#include <span>
#include <string_view>

#include "capdiff/base/error.h"
#include "capdiff/base/hash.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;

/// Numbers of the fields of TensorFlow's event.proto and summary.proto.
enum EventField : std::uint32_t { kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7 };
enum SummaryField : std::uint32_t { kValue = 1, kTag = 1, kSimpleValue = 2 };
enum SessionLogField : std::uint32_t { kStatus = 1 };
constexpr std::uint64_t kStatusStart = 1;

template <class T>
void append_little_endian(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>(value >> (8 * i));
}

/// A message in the wire format of protocol buffers.
class ProtoMessage {
 public:
  ProtoMessage& varint(std::uint32_t field, std::uint64_t value) {
    key(field, 0);
    number(value);
    return *this;
  }
  ProtoMessage& fixed64(std::uint32_t field, double value) {
    key(field, 1);
    append_little_endian(bytes_, std::bit_cast<std::uint64_t>(value));
    return *this;
  }
  ProtoMessage& fixed32(std::uint32_t field, float value) {
    key(field, 5);
    append_little_endian(bytes_, std::bit_cast<std::uint32_t>(value));
    return *this;
  }
  ProtoMessage& text(std::uint32_t field, std::string_view value) {
    key(field, 2);
    number(value.size());
    bytes_ += value;
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void key(std::uint32_t field, std::uint32_t type) { number(field << 3 | type); }
  void number(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
};

double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// The checksum as TFRecords have it: a CRC of data that holds CRCs would otherwise be weak.
std::uint32_t masked_crc(std::string_view data) {
  return std::rotr(crc32c(std::as_bytes(std::span(data))), 15) + 0xa282ead8u;
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  return name.data();
}

/// A name that no other file of the folder has, and that sorts by the time of its beginning, which is the order in
/// which TensorBoard reads.
fs::path new_event_file(const fs::path& folder) {
  const auto seconds = static_cast<std::int64_t>(wall_time());
  for (int number = 0;; ++number) {
    fs::path path =
        folder / fmt::format("events.out.tfevents.{:010}.{}.{}.{}", seconds, host_name(), ::getpid(), number);
    if (!fs::exists(path)) return path;
  }
}

}  // namespace

TensorBoardLog::TensorBoardLog(const fs::path& folder, std::int64_t first_step) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail(ErrorCode::io, "{}: the folder cannot be created: {}", folder.string(), error.message());
  path_ = new_event_file(folder);
  stream_.open(path_, std::ios::binary);
  if (!stream_) fail(ErrorCode::io, "{}: cannot be opened for writing", path_.string());
  append(ProtoMessage().fixed64(kWallTime, wall_time()).text(kFileVersion, "brain.Event:2").bytes());
  append(ProtoMessage()
             .fixed64(kWallTime, wall_time())
             .varint(kStep, static_cast<std::uint64_t>(first_step))
             .text(kSessionLog, ProtoMessage().varint(kStatus, kStatusStart).bytes())
             .bytes());
}

void TensorBoardLog::write(std::int64_t step, const std::map<std::string, double>& scalars) {
  ProtoMessage summary;
  for (const auto& [name, value] : scalars) {
    summary.text(kValue, ProtoMessage().text(kTag, name).fixed32(kSimpleValue, static_cast<float>(value)).bytes());
  }
  append(ProtoMessage()
             .fixed64(kWallTime, wall_time())
             .varint(kStep, static_cast<std::uint64_t>(step))
             .text(kSummary, summary.bytes())
             .bytes());
}

void TensorBoardLog::append(const std::string& event) {
  std::string length;
  append_little_endian(length, static_cast<std::uint64_t>(event.size()));
  std::string record = length;
  append_little_endian(record, masked_crc(length));
  record += event;
  append_little_endian(record, masked_crc(event));
  stream_.write(record.data(), static_cast<std::streamsize>(record.size()));
  stream_.flush();
  if (!stream_) fail(ErrorCode::io, "{}: cannot be written to", path_.string());
}

}  // namespace capdiff
