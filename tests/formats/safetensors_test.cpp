#include "capdiff/formats/safetensors.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "capdiff/base/files.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff {
namespace {

using test::expect_error;
using test::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// A file with this header and as many zero bytes of data.
std::string file_of(std::string_view header, std::size_t data_bytes) {
  const auto length = std::bit_cast<std::array<char, 8>>(std::uint64_t{header.size()});
  return std::string(length.begin(), length.end()) + std::string(header) + std::string(data_bytes, '\0');
}

/// Parses bytes from memory with no byte to spare behind them, so that a sanitizer sees any access past the end.
SafetensorsFile parse(std::string_view contents) {
  const auto bytes = std::as_bytes(std::span(contents));
  const auto owner = std::make_shared<std::vector<std::byte>>(bytes.begin(), bytes.end());
  return SafetensorsFile::parse(*owner, owner, "evil.safetensors");
}

std::map<std::string, HostTensor> sample() {
  const std::array<std::int64_t, 2> ids{-1, 1 << 20};
  return {{"b.weight", HostTensor::of({2, 3}, {1, 2, 3, 4, 5, 6})},
          {"a.bias", HostTensor::of({3}, {0.5f, -1, 2}).to(DType::bf16)},
          {"ids", HostTensor::of({2}, std::span<const std::int64_t>(ids))},
          {"scalar", HostTensor::scalar(7)},
          {"empty", HostTensor(DType::f32, {0, 4})},
          {"mask", HostTensor(DType::boolean, {3})}};
}

TEST(Safetensors, RoundTrip) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.safetensors";
  const auto tensors = sample();
  write_safetensors(path, tensors, {{"format", "pt"}, {"note", "caf\u00e9 \"quoted\""}});
  const SafetensorsFile file = SafetensorsFile::open(path);
  EXPECT_THAT(file.names(), ElementsAre("a.bias", "b.weight", "empty", "ids", "mask", "scalar"));
  EXPECT_EQ(file.metadata().at("note"), "caf\u00e9 \"quoted\"");
  for (const auto& [name, expected] : tensors) {
    const HostTensor tensor = file.tensor(name);
    EXPECT_EQ(tensor.dtype(), expected.dtype()) << name;
    EXPECT_EQ(tensor.shape(), expected.shape()) << name;
    EXPECT_TRUE(std::ranges::equal(tensor.bytes(), expected.bytes())) << name;
  }
}

TEST(Safetensors, WriterAlignsAndIsReproducible) {
  const TemporaryFolder folder;
  write_safetensors(folder.path() / "a", sample());
  write_safetensors(folder.path() / "b", sample());
  const auto bytes = read_file(folder.path() / "a", 1 << 20);
  EXPECT_EQ(bytes, read_file(folder.path() / "b", 1 << 20));
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  EXPECT_EQ((header + 8) % 64, 0u);
  const auto parsed = SafetensorsFile::open(folder.path() / "a");
  for (const auto& [name, entry] : parsed.entries()) EXPECT_EQ(entry.begin % size_of(entry.dtype), 0u) << name;
}

TEST(Safetensors, WritesTensorsOneAtATime) {
  const TemporaryFolder folder;
  const auto tensors = sample();
  write_safetensors(folder.path() / "whole", tensors);
  std::map<std::string, TensorType> types;
  for (const auto& [name, tensor] : tensors) types.emplace(name, TensorType{tensor.dtype(), tensor.shape()});
  std::size_t loaded = 0;
  const auto load = [&](const std::string& name) {
    ++loaded;
    return tensors.at(name);
  };
  write_safetensors(folder.path() / "streamed", types, load);
  EXPECT_EQ(loaded, tensors.size());
  EXPECT_EQ(read_file(folder.path() / "streamed", 1 << 20), read_file(folder.path() / "whole", 1 << 20));
  types.at("scalar").dtype = DType::f64;
  expect_error(ErrorCode::internal, "\"scalar\"", [&] { write_safetensors(folder.path() / "wrong", types, load); });
}

TEST(Safetensors, TensorsOutliveTheFile) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.safetensors";
  write_safetensors(path, sample());
  const HostTensor tensor = SafetensorsFile::open(path).tensor("b.weight");
  std::filesystem::remove(path);
  EXPECT_THAT(tensor.values<float>(), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(Safetensors, CopiesMisalignedTensors) {
  const TemporaryFolder folder;
  const std::string_view header =
      R"({"odd":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"x":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})";
  std::string contents = file_of(header, 5);
  const float value = 1.25f;
  std::memcpy(contents.data() + contents.size() - 4, &value, 4);
  for (int padding = 0; padding < 4; ++padding) {  // one of the four is misaligned in every place
    const auto path = folder.write(
        "file", file_of(std::string(header) + std::string(padding, ' '), 0) + contents.substr(contents.size() - 5));
    const HostTensor tensor = SafetensorsFile::open(path).tensor("x");
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.bytes().data()) % 4, 0u);
    EXPECT_THAT(tensor.values<float>(), ElementsAre(1.25f));
  }
}

TEST(Safetensors, MissingTensorAndWrongShapeAreNamed) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.safetensors";
  write_safetensors(path, sample());
  const SafetensorsFile file = SafetensorsFile::open(path);
  const std::string message =
      expect_error(ErrorCode::not_found, "did you mean \"b.weight\"?", [&] { file.tensor("b.weigth"); });
  EXPECT_THAT(message, HasSubstr(path.string()));
  expect_error(ErrorCode::invalid_model, "\"b.weight\" has shape [2, 3]; expected [3, 2]", [&] {
    file.tensor("b.weight", {3, 2});
  });
  EXPECT_TRUE(file.contains("ids"));
  EXPECT_FALSE(file.contains("id"));
}

TEST(Safetensors, EveryTruncationIsAnError) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.safetensors";
  write_safetensors(path, sample(), {{"format", "pt"}});
  const auto bytes = read_file(path, 1 << 20);
  const std::string_view whole(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  for (std::size_t length = 0; length < whole.size(); ++length)
    expect_error(ErrorCode::invalid_model, "evil.safetensors", [&] { parse(whole.substr(0, length)); });
  expect_error(ErrorCode::invalid_model, "truncated", [&] { parse(std::string(whole) + "x"); });
  EXPECT_NO_THROW(parse(whole));
}

TEST(Safetensors, DamagedHeadersNeverCrash) {
  const std::string good =
      file_of(R"({"__metadata__":{"k":"v"},"x":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}})", 8);
  for (std::size_t at = 0; at + 8 < good.size(); ++at)
    for (const char byte : {'\0', '"', '{', '}', '[', ']', ',', ':', '9', '-', '\xff'}) {
      std::string bad = good;
      bad[at] = byte;
      try {
        const SafetensorsFile file = parse(bad);
        for (const std::string& name : file.names()) file.tensor(name);
      } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("evil.safetensors"));
      }
    }
}

TEST(Safetensors, HostileHeaderLengths) {
  for (const std::uint64_t length : {std::uint64_t{1} << 63, ~std::uint64_t{0}, ~std::uint64_t{0} - 7,
                                     std::uint64_t{100'000'001}, std::uint64_t{3}}) {
    const auto bytes = std::bit_cast<std::array<char, 8>>(length);
    expect_error(ErrorCode::invalid_model, "evil.safetensors",
                 [&] { parse(std::string(bytes.begin(), bytes.end()) + "{}"); });
  }
}

struct HostileFile {
  const char* what;
  std::string header;
  std::size_t data_bytes;
  std::string message;
  ErrorCode code = ErrorCode::invalid_model;
};

void PrintTo(const HostileFile& hostile, std::ostream* out) {
  *out << hostile.what;
}

class HostileSafetensors : public ::testing::TestWithParam<HostileFile> {};

TEST_P(HostileSafetensors, IsRefused) {
  const HostileFile& hostile = GetParam();
  const std::string message =
      expect_error(hostile.code, hostile.message, [&] { parse(file_of(hostile.header, hostile.data_bytes)); });
  EXPECT_THAT(message, HasSubstr("evil.safetensors"));
}

std::string tensor_x(const char* dtype, const char* shape, const char* offsets) {
  return fmt::format(R"({{"x":{{"dtype":{},"shape":{},"data_offsets":{}}}}})", dtype, shape, offsets);
}

INSTANTIATE_TEST_SUITE_P(
    Table, HostileSafetensors,
    ::testing::ValuesIn(std::vector<HostileFile>{
        {"empty header", "", 0, "not a safetensors file"},
        {"leading white space", " {}", 0, "not a safetensors file"},
        {"byte order mark", "\xef\xbb\xbf{}", 0, "not a safetensors file"},
        {"array on top", "[]", 0, "not a safetensors file"},
        {"not JSON", "{x}", 0, "not valid JSON"},
        {"two documents", "{}{}", 0, "not valid JSON"},
        {"invalid UTF-8", "{\"\xff\":{}}", 0, "JSON"},
        {"trailing zero", std::string("{}\0", 3), 0, "not valid JSON"},
        {"tensor is a number", R"({"x":1})", 0, "wrong place"},
        {"tensor is null", R"({"x":null})", 0, "wrong place"},
        {"tensor is an array", R"({"x":[]})", 0, "\"x\""},
        {"deep objects", R"({"x":{"shape":)" + std::string(100'000, '{'), 0, "\"x\""},
        {"deep arrays", R"({"x":{"shape":)" + std::string(100'000, '['), 0, "\"x\""},
        {"dtype missing", R"({"x":{"shape":[1],"data_offsets":[0,4]}})", 4, "lacks"},
        {"shape missing", R"({"x":{"dtype":"F32","data_offsets":[0,4]}})", 4, "lacks"},
        {"offsets missing", R"({"x":{"dtype":"F32","shape":[1]}})", 4, "lacks"},
        {"one offset", tensor_x("\"F32\"", "[1]", "[4]"), 4, "lacks"},
        {"three offsets", tensor_x("\"F32\"", "[1]", "[0,4,4]"), 4, "wrong place"},
        {"unknown member", R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":1}})", 4, "\"more\""},
        {"unknown type", tensor_x("\"F8_E4M3\"", "[1]", "[0,1]"), 1, "F8_E4M3", ErrorCode::unsupported},
        {"type in lower case", tensor_x("\"f32\"", "[1]", "[0,4]"), 4, "f32", ErrorCode::unsupported},
        {"type is a number", tensor_x("5", "[1]", "[0,4]"), 4, "wrong place"},
        {"negative size", tensor_x("\"F32\"", "[-1]", "[0,4]"), 4, "negative"},
        {"fractional size", tensor_x("\"F32\"", "[1.0]", "[0,4]"), 4, "not an integer"},
        {"size beyond 64 bits", tensor_x("\"F32\"", "[18446744073709551616]", "[0,4]"), 4, "not an integer"},
        {"size beyond 63 bits", tensor_x("\"U8\"", "[9223372036854775808]", "[0,0]"), 0, "63 bits"},
        {"size is text", tensor_x("\"F32\"", "[\"1\"]", "[0,4]"), 4, "wrong place"},
        {"product wraps to zero", tensor_x("\"F32\"", "[4294967296,4294967296]", "[0,0]"), 0, "overflows"},
        {"bytes wrap to zero", tensor_x("\"F32\"", "[4611686018427387904]", "[0,0]"), 0, "overflows"},
        {"overflow hidden by a zero", tensor_x("\"F32\"", "[4294967296,4294967296,0]", "[0,0]"), 0, "overflows"},
        {"bytes beyond 63 bits", tensor_x("\"U8\"", "[4294967296,2147483648]", "[0,9223372036854775808]"), 0,
         "overflows"},
        {"rank 33", tensor_x("\"U8\"", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0,1]"),
         1, "axes"},
        {"huge but consistent", tensor_x("\"U8\"", "[1099511627776]", "[0,1099511627776]"), 4, "truncated"},
        {"negative offset", tensor_x("\"F32\"", "[1]", "[-4,0]"), 4, "negative"},
        {"offsets reversed", tensor_x("\"F32\"", "[1]", "[4,0]"), 4, "needs 4 bytes"},
        {"too few bytes", tensor_x("\"F32\"", "[2]", "[0,4]"), 4, "needs 8 bytes"},
        {"too many bytes", tensor_x("\"F32\"", "[1]", "[0,8]"), 8, "needs 4 bytes"},
        {"past the end", tensor_x("\"F32\"", "[2]", "[0,8]"), 4, "8 bytes of data"},
        {"hole in front", tensor_x("\"F32\"", "[1]", "[4,8]"), 8, "begins at byte 4"},
        {"bytes behind", tensor_x("\"F32\"", "[1]", "[0,4]"), 5, "4 bytes of data"},
        {"hole between",
         R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"y":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
         3, "\"y\" begins at byte 2"},
        {"overlap",
         R"({"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"y":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
         3, "\"y\" begins at byte 1"},
        {"the same bytes twice",
         R"({"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"y":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
         2, "begins at byte 0"},
        {"a name twice",
         R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"x":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
         2, "\"x\" twice"},
        {"a member twice", R"({"x":{"dtype":"U8","dtype":"F32","shape":[1],"data_offsets":[0,1]}})", 1,
         "\"dtype\" twice"},
        {"metadata twice", R"({"__metadata__":{},"__metadata__":{}})", 0, "\"__metadata__\" twice"},
        {"metadata key twice", R"({"__metadata__":{"a":"b","a":"c"}})", 0, "\"a\" twice"},
        {"metadata is a number", R"({"__metadata__":{"a":1}})", 0, "wrong place"},
        {"metadata is nested", R"({"__metadata__":{"a":{}}})", 0, "wrong place"},
        {"name of 5000 bytes", "{\"" + std::string(5000, 'n') + "\":{}}", 0, "5000 bytes"}}));

TEST(Safetensors, HeaderMayBePaddedAndDataMayBeEmpty) {
  EXPECT_TRUE(parse(file_of("{}   ", 0)).names().empty());
  EXPECT_EQ(parse(file_of(tensor_x("\"F64\"", "[0,3]", "[0,0]"), 0)).tensor("x").numel(), 0);
  EXPECT_EQ(parse(file_of(tensor_x("\"F64\"", "[]", "[0,8]"), 8)).tensor("x").shape(), Shape{});
}

TEST(Safetensors, BooleansAreZeroOrOne) {
  std::string contents = file_of(tensor_x("\"BOOL\"", "[2]", "[0,2]"), 2);
  EXPECT_NO_THROW(parse(contents).tensor("x"));
  contents.back() = 2;
  const SafetensorsFile file = parse(contents);
  expect_error(ErrorCode::invalid_model, "\"x\" is BOOL", [&] { file.tensor("x"); });
}

TEST(RequireFinite, FindsNanAndInfinityInEveryFloatingType) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float wrong : {std::nanf(""), infinity, -infinity})
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
      const HostTensor tensor = HostTensor::of({4}, {0, -65504, wrong, 1}).to(dtype);
      expect_error(ErrorCode::invalid_model, "file: element 2 of tensor \"w\"",
                   [&] { require_finite(tensor, "w", "file"); });
    }
  HostTensor wide(DType::f64, {2});
  wide.mutable_values<double>()[1] = infinity;
  expect_error(ErrorCode::invalid_model, "element 1", [&] { require_finite(wide, "w", "file"); });
}

TEST(RequireFinite, AcceptsNumbersAndIntegers) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16})
    EXPECT_NO_THROW(require_finite(HostTensor::of({4}, {0, -65504, 0x1p-24f, 1}).to(dtype), "w", "file"));
  HostTensor integers(DType::i64, {1});
  integers.mutable_values<std::int64_t>()[0] = -1;
  EXPECT_NO_THROW(require_finite(integers, "w", "file"));
}

}  // namespace
}  // namespace capdiff
