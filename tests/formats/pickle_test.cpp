#include "capdiff/formats/pickle.h"

#include <array>
#include <vector>

#include "tests/support/expect_error.h"
#include "tests/support/torch_file.h"

namespace capdiff {
namespace {

using test::expect_error;
using test::PickleWriter;
using ::testing::HasSubstr;
using Kind = Pickle::Kind;

constexpr std::array<std::string_view, 2> kKnown{"some.module name", "package.*"};

/// A pickle with bytes of its own, none behind the last.
struct Loaded {
  explicit Loaded(const std::string& contents)
      : bytes(std::as_bytes(std::span(contents)).begin(), std::as_bytes(std::span(contents)).end()),
        pickle(Pickle::read(bytes, kKnown, "evil.pkl")) {}

  const Pickle::Value& root() const { return pickle[pickle.root()]; }
  const Pickle::Value& item(std::size_t i) const { return pickle[root().items[i]]; }

  std::vector<std::byte> bytes;
  Pickle pickle;
};

TEST(Pickle, ReadsPlainValues) {
  PickleWriter writer;
  writer.raw("(").raw("N\x88\x89").raw("K\xff").raw("M\xff\xff").raw("J\xff\xff\xff\xff").raw("I12\nI01\nL-7L\n");
  writer.raw("G12345678").text("caf\u00e9").raw("C\x02\xff\xfe").raw("\x8c\x01x").raw("U\x01y");
  const Loaded loaded(writer.raw("t").finish());
  EXPECT_EQ(loaded.root().kind, Kind::tuple);
  const std::vector<Kind> kinds{Kind::none,    Kind::boolean, Kind::boolean, Kind::integer, Kind::integer,
                                Kind::integer, Kind::integer, Kind::boolean, Kind::integer, Kind::real,
                                Kind::text,    Kind::bytes,   Kind::text,    Kind::text};
  ASSERT_EQ(loaded.root().items.size(), kinds.size());
  for (std::size_t i = 0; i < kinds.size(); ++i) EXPECT_EQ(loaded.item(i).kind, kinds[i]) << i;
  EXPECT_EQ(loaded.item(1).integer, 1);
  EXPECT_EQ(loaded.item(3).integer, 255);
  EXPECT_EQ(loaded.item(4).integer, 65535);
  EXPECT_EQ(loaded.item(5).integer, -1);
  EXPECT_EQ(loaded.item(6).integer, 12);
  EXPECT_EQ(loaded.item(8).integer, -7);
  EXPECT_EQ(loaded.item(10).text, "caf\u00e9");
}

TEST(Pickle, ReadsIntegersOfAnyLength) {
  for (const std::int64_t value : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1} << 40, INT64_MIN, INT64_MAX})
    EXPECT_EQ(Loaded(PickleWriter().integer(value).finish()).root().integer, value);
  EXPECT_EQ(Loaded(PickleWriter().raw(std::string("\x8a\x00", 2)).finish()).root().integer, 0);
  EXPECT_EQ(Loaded(PickleWriter().raw("\x8a\x01\x80").finish()).root().integer, -128);
  // Nine bytes of which the last only repeats the sign are still a number of 64 bits.
  const std::string padded("\x8a\x09\x01\0\0\0\0\0\0\0\0", 11);
  EXPECT_EQ(Loaded(PickleWriter().raw(padded).finish()).root().integer, 1);
  const std::string wide("\x8a\x09\x01\0\0\0\0\0\0\0\x01", 11);
  EXPECT_EQ(Loaded(PickleWriter().raw(wide).finish()).root().kind, Kind::big_integer);
}

TEST(Pickle, ReadsContainersAndTheMemo) {
  PickleWriter writer;
  writer.raw("}q\x05(")
      .text("list")
      .raw(
          "](K\x01K\x02"
          "eK\x03"
          "a")
      .text("self")
      .raw("h\x05u");
  const Loaded loaded(writer.finish());
  EXPECT_EQ(loaded.root().kind, Kind::dict);
  ASSERT_EQ(loaded.root().items.size(), 4u);
  EXPECT_EQ(loaded.item(1).kind, Kind::list);
  EXPECT_EQ(loaded.item(1).items.size(), 3u);
  EXPECT_EQ(loaded.root().items[3], loaded.pickle.root());
}

TEST(Pickle, KeepsCallsInsteadOfMakingThem) {
  const Loaded loaded(PickleWriter().global("some.module", "name").raw("K\x01\x85R").finish());
  EXPECT_EQ(loaded.root().kind, Kind::call);
  EXPECT_EQ(loaded.item(0).text, "some.module name");
  EXPECT_EQ(loaded.item(1).kind, Kind::tuple);
  EXPECT_EQ(Loaded(PickleWriter().text("id").raw("Q").finish()).root().kind, Kind::persistent);
}

TEST(Pickle, KeepsAttributesOfObjects) {
  PickleWriter writer;
  writer.global("package.inner", "Class").raw(")\x81}(").text("a").raw("K\x01").text("b");
  writer.global("package", "Other").raw(")\x81}b").raw("ub");
  const Loaded loaded(writer.finish());
  EXPECT_EQ(loaded.root().kind, Kind::object);
  ASSERT_EQ(loaded.root().items.size(), 4u);
  EXPECT_EQ(loaded.item(2).text, "b");
  EXPECT_EQ(loaded.item(3).kind, Kind::object);
  EXPECT_TRUE(loaded.item(3).items.empty());
}

TEST(Pickle, MakesOrderedDictionaries) {
  PickleWriter empty, pairs;
  empty.global("collections", "OrderedDict").raw(")R(K\x01K\x02u}b");
  EXPECT_EQ(Loaded(empty.finish()).root().kind, Kind::dict);
  EXPECT_EQ(Loaded(empty.finish()).root().items.size(), 2u);
  pairs.global("collections", "OrderedDict")
      .raw(
          "](](K\x01K\x02"
          "ee\x85R");
  EXPECT_EQ(Loaded(pairs.finish()).root().items.size(), 2u);
}

TEST(Pickle, SaysWhereItEnds) {
  const std::string contents = PickleWriter().raw("N").finish();
  EXPECT_EQ(Loaded(contents + "and more").pickle.size(), contents.size());
}

struct Hostile {
  const char* what;
  std::string bytes;
  std::string message;
};

void PrintTo(const Hostile& hostile, std::ostream* out) {
  *out << hostile.what;
}

class HostilePickles : public ::testing::TestWithParam<Hostile> {};

TEST_P(HostilePickles, AreRefused) {
  const std::string message =
      expect_error(ErrorCode::invalid_model, GetParam().message, [&] { Loaded loaded(GetParam().bytes); });
  EXPECT_THAT(message, HasSubstr("evil.pkl"));
}

std::string of(std::string_view bytes) {
  return PickleWriter().raw(bytes).finish();
}

INSTANTIATE_TEST_SUITE_P(Table, HostilePickles,
                         ::testing::ValuesIn(std::vector<Hostile>{
                             {"nothing", "", "truncated"},
                             {"no STOP", "N", "truncated"},
                             {"STOP alone", of(""), "exactly one value"},
                             {"two values", of("NN"), "exactly one value"},
                             {"open mark", of("N("), "exactly one value"},
                             {"protocol 6", std::string("\x80\x06N.", 4), "protocol 6"},
                             {"unknown opcode", of("\xff"), "0xff"},
                             {"persistent id in text", of("Pid\n"), "0x50"},
                             {"instance", of("(ios\nsystem\n"), "0x69"},
                             {"object", of("(os"), "0x6f"},
                             {"new object of nothing", of(")\x81"), "empty stack"},
                             {"new object of a function", of("csome.module\nname\n)\x81"), "no class"},
                             {"new object of a dictionary", of("})\x81"), "no class"},
                             {"new ordered dictionary", of("ccollections\nOrderedDict\n)\x81"), "no class"},
                             {"new object with arguments", of("cpackage\nClass\nN\x85\x81"), "arguments"},
                             {"new object without a tuple", of("cpackage\nClass\nN\x81"), "arguments"},
                             {"object of a tuple", of("cpackage\nClass\n)\x81)b"), "attributes"},
                             {"attributes given twice", of("cpackage\nClass\n)\x81}NNsb}NNsb"), "twice"},
                             {"item of an object", of("cpackage\nClass\n)\x81NNs"), "no dictionary"},
                             {"package of a longer name", of("cpackages\nClass\n"), "packages.Class"},
                             {"module of the same end", of("cevil.package\nClass\n"), "evil.package.Class"},
                             {"extension", of("\x82\x01"), "0x82"},
                             {"unknown global", of("cos\nsystem\n"), "os.system"},
                             {"unknown global on the stack", of("\x8c\x02os\x8c\x06system\x93"), "os.system"},
                             {"global of numbers", of("K\x01K\x01\x93"), "no text"},
                             {"global without an end", of("cos"), "truncated"},
                             {"global of a long name", of("c" + std::string(300, 'x') + "\n\n"), "256 bytes"},
                             {"global with control characters", of("c\x1b[31m\nx\n"), "?[31m.x"},
                             {"call of a number", of("K\x01)R"), "cannot be called"},
                             {"call without arguments", of("ccollections\nOrderedDict\nNR"), "cannot be called"},
                             {"dictionary of a number", of("ccollections\nOrderedDict\nK\x01\x85R"), "something else"},
                             {"attributes of a number", of("K\x01}b"), "attributes"},
                             {"call on an empty stack", of("R"), "empty stack"},
                             {"values below a mark", of("N(\x85"), "empty stack"},
                             {"no mark", of("Nt"), "mark"},
                             {"append to a number",
                              of("K\x01N"
                                 "a"),
                              "no list"},
                             {"item of a list", of("]NNs"), "no dictionary"},
                             {"key without value", of("}(Nu"), "without a value"},
                             {"unset memo", of("h\x07"), "never kept"},
                             {"memo far away", of("Nr\xff\xff\xff\xff"), "4294967295"},
                             {"memo of nothing", of("q\x01"), "empty stack"},
                             {"long string",
                              of("X\xff\xff\xff\x7f"
                                 "abc"),
                              "truncated"},
                             {"longer string",
                              of("\x8d\xff\xff\xff\xff\xff\xff\xff\xff"
                                 "abc"),
                              "truncated"},
                             {"long number", of("\x8b\xff\xff\xff\xff"), "truncated"},
                             {"frame beyond the end", of("\x95\xff\xff\xff\xff\xff\xff\xff\x7fN"), "truncated"},
                             {"text that is not UTF-8", of("U\x01\xff"), "UTF-8"},
                             {"number of letters", of("Iabc\n"), "a number that is none"},
                             {"number beyond 64 bits", of("L99999999999999999999L\n"), "a number that is none"}}));

TEST(Pickle, SharedListsDoNotMultiply) {
  // A list of a thousand pairs, of which a thousand dictionaries are made.
  PickleWriter writer;
  writer.global("collections", "OrderedDict").raw("q\x01").raw("]q\x02(");
  for (int i = 0; i < 1000; ++i) writer.raw("NN\x86");
  writer.raw("e");
  for (int i = 0; i < 1000; ++i)
    writer.raw(
        "h\x01h\x02\x85R"
        "0");
  expect_error(ErrorCode::invalid_model, "more elements than bytes", [&] { Loaded loaded(writer.finish()); });
}

TEST(Pickle, EveryTruncationIsAnError) {
  const std::string whole = PickleWriter().raw("}(").text("w").tensor("x", "0", 1, 0, {1}, {1}).raw("u").finish();
  for (std::size_t length = 0; length < whole.size(); ++length)
    expect_error(ErrorCode::invalid_model, "evil.pkl", [&] { Loaded loaded(whole.substr(0, length)); });
}

}  // namespace
}  // namespace capdiff
