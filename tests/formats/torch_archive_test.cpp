#include "capdiff/formats/torch_archive.h"

#include <array>
#include <cstring>
#include <numeric>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/torch_file.h"

namespace capdiff {
namespace {

using test::expect_error;
using test::PickleWriter;
using test::TemporaryFolder;
using test::torch_legacy;
using test::torch_zip;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Parses bytes from memory with none to spare behind them, and reads all tensors.
TorchArchive parse_archive(std::string_view contents) {
  const auto bytes = std::as_bytes(std::span(contents));
  const auto owner = std::make_shared<std::vector<std::byte>>(bytes.begin(), bytes.end());
  TorchArchive archive = TorchArchive::parse(*owner, owner, "evil.pt");
  for (const auto& [name, entry] : archive.entries()) archive.tensor(name);
  return archive;
}

std::map<std::string, HostTensor> archive_sample() {
  const std::array<std::int64_t, 2> ids{-1, 1 << 20};
  return {{"b.weight", HostTensor::of({2, 3}, {1, 2, 3, 4, 5, 6})},
          {"a.bias", HostTensor::of({3}, {0.5f, -1, 2}).to(DType::bf16)},
          {"ids", HostTensor::of({2}, std::span<const std::int64_t>(ids))},
          {"scalar", HostTensor::scalar(7)},
          {"empty", HostTensor(DType::f32, {0, 4})}};
}

/// The bytes of 0, 1, 2, … as f32.
std::string ramp(std::size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 0.0f);
  std::string bytes(count * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// A file with one tensor "w" in a storage of twelve elements.
std::string with_tensor(std::int64_t elements, std::int64_t offset, const std::vector<std::int64_t>& sizes,
                        const std::vector<std::int64_t>& strides) {
  PickleWriter pickle;
  pickle.raw("}").text("w").tensor("FloatStorage", "0", elements, offset, sizes, strides).raw("s");
  return torch_zip(pickle.finish(), {{"0", ramp(12)}});
}

TEST(TorchArchive, ReadsBothFormats) {
  for (const std::string& file : {torch_zip(archive_sample()), torch_legacy(archive_sample())}) {
    const TorchArchive archive = parse_archive(file);
    ASSERT_EQ(archive.entries().size(), archive_sample().size());
    for (const auto& [name, expected] : archive_sample()) {
      const HostTensor tensor = archive.tensor(name);
      EXPECT_EQ(tensor.dtype(), expected.dtype()) << name;
      EXPECT_EQ(tensor.shape(), expected.shape()) << name;
      EXPECT_TRUE(std::ranges::equal(tensor.bytes(), expected.bytes())) << name;
    }
    expect_error(ErrorCode::not_found, "did you mean \"scalar\"?", [&] { archive.tensor("scalr"); });
  }
}

TEST(TorchArchive, MapsFilesWhoseTensorsOutliveThem) {
  const TemporaryFolder folder;
  const auto path = folder.write("model.pt", torch_zip(archive_sample()));
  const HostTensor tensor = TorchArchive::open(path).tensor("b.weight");
  std::filesystem::remove(path);
  EXPECT_THAT(tensor.values<float>(), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(TorchArchive, NamesTensorsByTheirPath) {
  PickleWriter pickle;
  const auto tensor = [&] { pickle.tensor("FloatStorage", "0", 12, 0, {1}, {1}); };
  pickle.raw("}(").text("model").raw("}").text("a.b");
  tensor();
  pickle.raw("s").text("list").raw("](N");
  tensor();
  pickle.raw("e").integer(7).raw("}(").integer(-3);
  tensor();
  pickle.text("").integer(1).raw("u").text("epoch").integer(3).raw("u");
  const TorchArchive archive = parse_archive(torch_zip(pickle.finish(), {{"0", ramp(12)}}));
  std::vector<std::string> names;
  for (const auto& [name, entry] : archive.entries()) names.push_back(name);
  EXPECT_THAT(names, ElementsAre("7.-3", "list.1", "model.a.b"));
}

TEST(TorchArchive, ReadsABareTensorAndParameters) {
  PickleWriter bare, parameter;
  bare.tensor("FloatStorage", "0", 12, 0, {3, 4}, {4, 1});
  EXPECT_EQ(parse_archive(torch_zip(bare.finish(), {{"0", ramp(12)}})).tensor("").shape(), (Shape{3, 4}));
  parameter.global("torch._utils", "_rebuild_parameter").raw("(");
  parameter.tensor("FloatStorage", "0", 12, 0, {2}, {1}).raw("\x88").global("collections", "OrderedDict").raw(")RtR");
  EXPECT_THAT(parse_archive(torch_zip(parameter.finish(), {{"0", ramp(12)}})).tensor("").values<float>(),
              ElementsAre(0, 1));
}

TEST(TorchArchive, MakesStridedTensorsContiguous) {
  const auto values = [](std::int64_t offset, const std::vector<std::int64_t>& sizes,
                         const std::vector<std::int64_t>& strides) {
    const HostTensor tensor = parse_archive(with_tensor(12, offset, sizes, strides)).tensor("w");
    return std::vector<float>(tensor.values<float>().begin(), tensor.values<float>().end());
  };
  EXPECT_THAT(values(0, {2, 3}, {1, 4}), ElementsAre(0, 4, 8, 1, 5, 9));
  EXPECT_THAT(values(3, {2, 2}, {0, 1}), ElementsAre(3, 4, 3, 4));
  EXPECT_THAT(values(1, {3}, {5}), ElementsAre(1, 6, 11));
  EXPECT_THAT(values(11, {}, {}), ElementsAre(11));
  EXPECT_THAT(values(2, {1, 2}, {99, 1}), ElementsAre(2, 3));
  EXPECT_THAT(values(2, {2, 1}, {3, INT64_MAX}), ElementsAre(2, 5));
  EXPECT_TRUE(values(0, {0, 4}, {4, 1}).empty());
}

TEST(TorchArchive, EveryTruncationIsAnError) {
  for (const std::string& whole : {torch_zip(archive_sample()), torch_legacy(archive_sample())})
    for (std::size_t length = 0; length < whole.size(); ++length)
      expect_error(ErrorCode::invalid_model, "evil.pt",
                   [&] { parse_archive(std::string_view(whole).substr(0, length)); });
}

TEST(TorchArchive, DamagedBytesNeverCrash) {
  for (const std::string& good : {with_tensor(12, 0, {3, 4}, {4, 1}), torch_legacy(archive_sample())})
    for (std::size_t at = 0; at < good.size(); ++at)
      for (const char flip : {'\x01', '\x10', '\x80', '\xff'}) {
        std::string bad = good;
        bad[at] = static_cast<char>(bad[at] ^ flip);
        try {
          parse_archive(bad);
        } catch (const Error& error) {
          EXPECT_NE(error.code(), ErrorCode::internal);
          EXPECT_THAT(error.what(), HasSubstr("evil.pt"));
        }
      }
}

struct HostileArchive {
  const char* what;
  std::string file;
  std::string message;
  ErrorCode code = ErrorCode::invalid_model;
};

void PrintTo(const HostileArchive& hostile, std::ostream* out) {
  *out << hostile.what;
}

class HostileTorchArchives : public ::testing::TestWithParam<HostileArchive> {};

TEST_P(HostileTorchArchives, AreRefused) {
  const HostileArchive& hostile = GetParam();
  const std::string message = expect_error(hostile.code, hostile.message, [&] { parse_archive(hostile.file); });
  EXPECT_THAT(message, HasSubstr("evil.pt"));
}

std::string with_pickle(const PickleWriter& pickle) {
  return torch_zip(pickle.finish(), {{"0", ramp(12)}});
}

PickleWriter nested(int depth) {
  PickleWriter pickle;
  for (int i = 0; i < depth; ++i) pickle.raw("](");
  pickle.tensor("FloatStorage", "0", 12, 0, {1}, {1});
  for (int i = 0; i < depth; ++i) pickle.raw("e");
  return pickle;
}

/// Lists of ten references to the list before: a tensor with a billion paths.
PickleWriter laughing() {
  PickleWriter pickle;
  pickle.tensor("FloatStorage", "0", 12, 0, {1}, {1}).raw("q\x01");
  for (int i = 0; i < 9; ++i)
    pickle.raw(
        "0](h\x01h\x01h\x01h\x01h\x01h\x01h\x01h\x01h\x01h\x01"
        "eq\x01");
  return pickle;
}

INSTANTIATE_TEST_SUITE_P(
    Table, HostileTorchArchives,
    ::testing::Values(
        HostileArchive{"too many elements", with_tensor(12, 0, {3, 5}, {5, 1}), "beyond the end"},
        HostileArchive{"offset", with_tensor(12, 1, {12}, {1}), "beyond the end"},
        HostileArchive{"negative offset", with_tensor(12, -1, {1}, {1}), "negative storage offset"},
        HostileArchive{"negative size", with_tensor(12, 0, {-1}, {1}), "negative size"},
        HostileArchive{"negative stride", with_tensor(12, 11, {12}, {-1}), "negative stride"},
        HostileArchive{"huge size", with_tensor(12, 0, {1LL << 40, 1LL << 40}, {0, 0}), "overflows"},
        HostileArchive{"size that wraps to nothing", with_tensor(12, 0, {1LL << 32, 1LL << 32}, {0, 0}), "overflows"},
        HostileArchive{"huge stride", with_tensor(12, 0, {3}, {INT64_MAX}), "beyond the end"},
        HostileArchive{"strides that wrap", with_tensor(12, 0, {3, 3}, {1LL << 62, 1LL << 62}), "beyond the end"},
        HostileArchive{"expanded beyond the file", with_tensor(12, 0, {1 << 20, 1 << 20}, {0, 0}),
                       "larger than the file"},
        HostileArchive{"one stride too many", with_tensor(12, 0, {12}, {1, 1}), "strides"},
        HostileArchive{"rank 33",
                       with_tensor(12, 0, std::vector<std::int64_t>(33, 1), std::vector<std::int64_t>(33, 1)), "tuple"},
        HostileArchive{"elements that are not there", with_tensor(1LL << 50, 0, {12}, {1}), "48 bytes"},
        HostileArchive{"negative elements", with_tensor(-12, 0, {1}, {1}), "negative number of elements"},
        HostileArchive{"bytes that overflow", with_tensor(INT64_MAX, 0, {1}, {1}), "48 bytes"},
        HostileArchive{"missing storage",
                       with_pickle(PickleWriter().tensor("FloatStorage", "../../etc/passwd", 12, 0, {1}, {1})),
                       "missing"},
        HostileArchive{"unknown storage", with_pickle(PickleWriter().tensor("EvilStorage", "0", 12, 0, {1}, {1})),
                       "torch.EvilStorage"},
        HostileArchive{"storage of a wrong type", with_pickle(PickleWriter().tensor("_utils", "0", 12, 0, {1}, {1})),
                       "torch._utils"},
        HostileArchive{"persistent id on its own", with_pickle(PickleWriter().text("storage").raw("Q")), "plain data"},
        HostileArchive{"function on its own", with_pickle(PickleWriter().global("torch._utils", "_rebuild_parameter")),
                       "plain data"},
        HostileArchive{"tensor of nothing",
                       with_pickle(PickleWriter().global("torch._utils", "_rebuild_tensor_v2").raw(")R")),
                       "something else"},
        HostileArchive{"parameter of a number",
                       with_pickle(PickleWriter().global("torch._utils", "_rebuild_parameter").raw("NNN\x87R")),
                       "not a tensor"},
        HostileArchive{"class on its own", with_pickle(PickleWriter().global("__torch__", "Module")), "plain data"},
        HostileArchive{"call of a class", with_pickle(PickleWriter().global("__torch__", "Module").raw(")R")),
                       "not a tensor"},
        HostileArchive{"class of another package",
                       with_pickle(PickleWriter().global("__torch__x", "Module").raw(")\x81}b")), "__torch__x.Module"},
        HostileArchive{"type of nothing",
                       with_pickle(PickleWriter().global("torch.jit._pickle", "restore_type_tag").raw(")R")),
                       "made of nothing"},
        HostileArchive{"call of a storage", with_pickle(PickleWriter().global("torch", "FloatStorage").raw(")R")),
                       "not a tensor"},
        HostileArchive{"key that is a tuple",
                       with_pickle(PickleWriter().raw("})").tensor("FloatStorage", "0", 12, 0, {1}, {1}).raw("s")),
                       "a key"},
        HostileArchive{"the same path twice",
                       with_pickle(PickleWriter()
                                       .raw("}(")
                                       .text("1")
                                       .tensor("FloatStorage", "0", 12, 0, {1}, {1})
                                       .integer(1)
                                       .tensor("FloatStorage", "0", 12, 0, {1}, {1})
                                       .raw("u")),
                       "twice"},
        HostileArchive{"nested deeply", with_pickle(nested(65)), "64 levels"},
        HostileArchive{"nested in itself",
                       with_pickle(PickleWriter().raw("]q\x01h\x01"
                                                      "a")),
                       "64 levels"},
        HostileArchive{"a billion paths", with_pickle(laughing()), "too many"},
        HostileArchive{"long name",
                       with_pickle(PickleWriter()
                                       .raw("}")
                                       .text(std::string(5000, 'n'))
                                       .tensor("FloatStorage", "0", 12, 0, {1}, {1})
                                       .raw("s")),
                       "too long a name"},
        HostileArchive{"zip of other things", test::zip_file({{"a.txt", "x"}}), "without data.pkl"},
        HostileArchive{"two pickles", test::zip_file({{"a/data.pkl", "N."}, {"b/data.pkl", "N."}}), "more than one"},
        HostileArchive{"big-endian", test::zip_file({{"a/data.pkl", "N."}, {"a/byteorder", "big"}}), "little-endian",
                       ErrorCode::unsupported},
        HostileArchive{"text", "version https://git-lfs.github.com/spec/v1\n", "not a torch checkpoint"},
        HostileArchive{"nothing", "", "not a torch checkpoint"},
        HostileArchive{"another pickle", "\x80\x02N.", "no torch checkpoint"},
        HostileArchive{"legacy file that goes on", torch_legacy(archive_sample()) + "x", "goes on"}));

TEST(TorchArchive, ReadsModulesOfTorchScript) {
  const std::map<std::string, HostTensor> tensors{
      {"bias", HostTensor::of({2}, {1.0f, 2.0f})},
      {"layers.0.weight", HostTensor::of({2, 1}, {3.0f, 4.0f}).to(DType::f16)},
      {"layers.1.weight", HostTensor::of({1}, {5.0f})},
      {"scale", HostTensor::scalar(6.0f)}};
  const TorchArchive archive = parse_archive(test::torch_script(tensors));
  ASSERT_EQ(archive.entries().size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    EXPECT_EQ(archive.tensor(name).shape(), tensor.shape()) << name;
    EXPECT_TRUE(std::ranges::equal(archive.tensor(name).bytes(), tensor.bytes())) << name;
  }
}

TEST(TorchArchive, RefusesCompressedTensors) {
  for (const char* entry : {"archive/data.pkl", "archive/data/0"}) {
    const std::string pickle = PickleWriter().tensor("FloatStorage", "0", 1, 0, {1}, {1}).finish();
    const test::ZipContents contents{{"archive/data.pkl", pickle}, {"archive/data/0", std::string(4, '\0')}};
    EXPECT_NO_THROW(parse_archive(test::zip_file(contents)));
    expect_error(ErrorCode::unsupported, entry, [&] { parse_archive(test::zip_file(contents, {entry})); });
  }
}

TEST(TorchArchive, SharedScalarsTakeNoTime) {
  // A list of many numbers, found in very many places.
  PickleWriter pickle;
  pickle.raw("](");
  pickle.raw("](");
  for (int i = 0; i < 20'000; ++i) pickle.raw("N");
  pickle.raw("eq\x02");
  for (int i = 0; i < 20'000; ++i) pickle.raw("h\x02");
  pickle.raw("e");
  expect_error(ErrorCode::invalid_model, "too many", [&] { parse_archive(with_pickle(pickle)); });
}

TEST(TorchArchive, NestsUpToALimit) {
  EXPECT_NO_THROW(parse_archive(with_pickle(nested(64))));
}

TEST(TorchArchive, VerifiesChecksumsOfStorages) {
  std::string file = with_tensor(12, 0, {12}, {1});
  file[file.find(ramp(12)) + 3] ^= 1;
  expect_error(ErrorCode::invalid_model, "checksum", [&] { parse_archive(file); });
}

}  // namespace
}  // namespace capdiff
