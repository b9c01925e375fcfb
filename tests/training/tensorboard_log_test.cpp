#include "capdiff/training/tensorboard_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <optional>
#include <vector>

#include "capdiff/base/files.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

/// CRC-32C bit by bit, and masked as TensorFlow's record format says.
std::uint32_t slow_masked_crc(std::string_view data) {
  std::uint32_t crc = 0xffffffffu;
  for (const char c : data) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) ? (crc >> 1) ^ 0x82f63b78u : crc >> 1;
  }
  crc = ~crc;
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

template <class T>
T take(std::string_view& data) {
  T value;
  if (data.size() < sizeof(T)) throw std::runtime_error("truncated");
  std::memcpy(&value, data.data(), sizeof(T));
  data.remove_prefix(sizeof(T));
  return value;
}

std::string_view take_bytes(std::string_view& data, std::size_t count) {
  if (data.size() < count) throw std::runtime_error("truncated");
  const std::string_view part = data.substr(0, count);
  data.remove_prefix(count);
  return part;
}

std::uint64_t take_varint(std::string_view& data) {
  std::uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = take<std::uint8_t>(data);
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
}

struct DecodedEvent {
  double wall_time = 0;
  std::uint64_t step = 0;
  std::string file_version;
  std::optional<std::uint64_t> session_status;
  std::vector<std::pair<std::string, float>> scalars;
};

/// Calls consume(field, data) for each field of a message; `data` begins at its value.
template <class Consume>
void for_each_field(std::string_view message, const Consume& consume) {
  while (!message.empty()) {
    const std::uint64_t key = take_varint(message);
    const auto begin = message;
    switch (key & 7) {
      case 0: take_varint(message); break;
      case 1: take_bytes(message, 8); break;
      case 2: take_bytes(message, take_varint(message)); break;
      case 5: take_bytes(message, 4); break;
      default: throw std::runtime_error("unknown wire type");
    }
    consume(key >> 3, begin);
  }
}

std::string_view submessage(std::string_view data) {
  const std::uint64_t size = take_varint(data);
  return take_bytes(data, size);
}

DecodedEvent decode_event(std::string_view message) {
  DecodedEvent event;
  for_each_field(message, [&](std::uint64_t field, std::string_view data) {
    if (field == 1) event.wall_time = take<double>(data);
    if (field == 2) event.step = take_varint(data);
    if (field == 3) event.file_version = submessage(data);
    if (field == 7) for_each_field(submessage(data), [&](auto, auto d) { event.session_status = take_varint(d); });
    if (field != 5) return;
    for_each_field(submessage(data), [&](std::uint64_t, std::string_view value) {
      auto& [name, number] = event.scalars.emplace_back();
      for_each_field(submessage(value), [&, &tag = name, &simple = number](std::uint64_t part, std::string_view d) {
        if (part == 1) tag = submessage(d);
        if (part == 2) simple = take<float>(d);
      });
    });
  });
  return event;
}

std::vector<DecodedEvent> decode(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = read_file(path, 1 << 20);
  std::string_view data(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::vector<DecodedEvent> events;
  while (!data.empty()) {
    const std::string_view head = data.substr(0, 8);
    const auto size = take<std::uint64_t>(data);
    EXPECT_EQ(take<std::uint32_t>(data), slow_masked_crc(head));
    const std::string_view body = take_bytes(data, size);
    EXPECT_EQ(take<std::uint32_t>(data), slow_masked_crc(body));
    events.push_back(decode_event(body));
  }
  return events;
}

TEST(TensorBoardLog, WritesEventsThatDecode) {
  const test::TemporaryFolder folder;
  TensorBoardLog log(folder.path() / "tensorboard" / "ladic", 1);
  log.write(300, {{"losses/loss", 0.25}, {"learning_rate", 1e-3}});
  log.write(301, {});
  const std::vector<DecodedEvent> events = decode(log.path());
  ASSERT_EQ(events.size(), 4u);
  EXPECT_EQ(events[0].file_version, "brain.Event:2");
  EXPECT_GT(events[0].wall_time, 1.7e9);
  EXPECT_EQ(events[1].session_status, 1u);
  EXPECT_EQ(events[1].step, 1u);
  EXPECT_EQ(events[2].step, 300u);
  EXPECT_THAT(events[2].scalars, ElementsAre(Pair("learning_rate", 1e-3f), Pair("losses/loss", 0.25f)));
  EXPECT_GE(events[2].wall_time, events[0].wall_time);
  EXPECT_EQ(events[3].step, 301u);
}

TEST(TensorBoardLog, HasTheBytesOfARecord) {
  const test::TemporaryFolder folder;
  const TensorBoardLog log(folder.path(), 1);
  const std::vector<std::byte> bytes = read_file(log.path(), 1 << 20);
  // Length 24: key 9 and eight bytes of time, key 0x1a, length 13, "brain.Event:2". The masked checksum of the length
  // begins every event file that TensorFlow writes, too.
  const unsigned char expected[] = {0x18, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22, 0x09};
  EXPECT_EQ(std::memcmp(bytes.data(), expected, sizeof(expected)), 0);
  EXPECT_EQ(std::memcmp(bytes.data() + 21,
                        "\x1a\x0d"
                        "brain.Event:2",
                        15),
            0);
}

TEST(TensorBoardLog, AResumedRunVoidsWhatItDoesAgain) {
  const test::TemporaryFolder folder;
  TensorBoardLog first(folder.path(), 1);
  first.write(10, {{"loss", 1}});
  first.write(20, {{"loss", 2}});
  TensorBoardLog second(folder.path(), 11);
  EXPECT_NE(first.path(), second.path());
  const std::vector<DecodedEvent> events = decode(second.path());
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1].session_status, 1u);
  EXPECT_EQ(events[1].step, 11u);
}

TEST(TensorBoardLog, NamesAFolderThatCannotBeMade) {
  const test::TemporaryFolder folder;
  const auto file = folder.write("file", "");
  test::expect_error(ErrorCode::io, file.string(), [&] { TensorBoardLog(file / "tensorboard", 1); });
}

}  // namespace
}  // namespace capdiff
