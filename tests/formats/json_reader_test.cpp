#include "capdiff/formats/json_reader.h"

#include <nlohmann/json.hpp>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff {
namespace {

using test::expect_error;
using test::TemporaryFolder;
using ::testing::ElementsAre;

JsonReader reader(std::string_view text) {
  return JsonReader(parse_json(text, "config.json"), "config.json", ErrorCode::invalid_model);
}

/// Expects an `invalid_model` error that names the file.
template <class Action>
void expect_refused(const std::string& part, Action&& action) {
  EXPECT_THAT(expect_error(ErrorCode::invalid_model, part, action), ::testing::StartsWith("config.json: "));
}

TEST(ParseJson, RefusesWhatIsNotOneDocument) {
  for (const char* const text : {"", "{", "[1,]", "{} {}", "nul", "\"\xff\"", "{'a':1}", "1e999", "// x\n{}"})
    expect_error(ErrorCode::invalid_input, "evil.json: not valid JSON", [&] { parse_json(text, "evil.json"); });
  expect_error(ErrorCode::invalid_input, "zero byte", [] { parse_json(std::string_view("{}\0{}", 5), "evil.json"); });
  expect_error(ErrorCode::invalid_input, "line 3", [] { parse_json("{\n\"a\": 1,\n}", "evil.json"); });
}

TEST(ParseJson, RefusesKeysGivenTwiceAndDeepNesting) {
  expect_error(ErrorCode::invalid_input, "\"steps\" is given twice",
               [] { parse_json(R"([{"a": {"steps": 1, "b": {"steps": 1}, "steps": 2}}])", "evil.json"); });
  EXPECT_NO_THROW(parse_json(R"([{"a": 1}, {"a": 1, "b": {"a": 1}}])", "fine.json"));
  EXPECT_NO_THROW(parse_json(std::string(64, '[') + std::string(64, ']'), "fine.json"));
  expect_error(ErrorCode::invalid_input, "deeper than 64",
               [] { parse_json(std::string(65, '[') + std::string(65, ']'), "evil.json"); });
  expect_error(ErrorCode::invalid_input, "deeper than 64",
               [] { parse_json(std::string(1'000'000, '['), "evil.json"); });
}

TEST(ParseJsonRecords, HandsOverEachRecordAndKeepsTheRest) {
  std::vector<std::int64_t> seen;
  const nlohmann::json rest = parse_json_records(
      R"({"other": [{"n": 9}], "records": [{"n": 1, "in": {"records": [{"n": 7}]}}, {"n": 2}], "records2": {"x": {}}})",
      "data.json", "records", [&](const JsonReader& record) { seen.push_back(record.get_int("n", 0, 9)); });
  EXPECT_THAT(seen, ElementsAre(1, 2));
  EXPECT_EQ(rest["other"][0]["n"], 9);
  EXPECT_TRUE(rest["records"].empty());
  EXPECT_TRUE(rest["records2"].contains("x"));
}

TEST(ParseJsonRecords, OfAnArrayOrOfSeveralMembers) {
  std::vector<std::string> seen;
  parse_json_records(R"([{"a": [{"a": 1}]}, {"a": 2}])", "f", "",
                     [&](const JsonReader& record) { seen.push_back(record.path() + record.json().dump()); });
  EXPECT_THAT(seen, ElementsAre("[0]{\"a\":[{\"a\":1}]}", "[1]{\"a\":2}"));
  seen.clear();
  const nlohmann::json rest = parse_json_records(
      R"({"x": [{"n": 1}], "z": [{"x": [{}]}], "y": [{"n": 2}, 5]})", "f", {"x", "y", "w"},
      [&](const std::string& key, const JsonReader& record) { seen.push_back(key + record.json().dump()); });
  EXPECT_THAT(seen, ElementsAre("x{\"n\":1}", "y{\"n\":2}"));
  EXPECT_EQ(rest, nlohmann::json::parse(R"({"x": [], "z": [{"x": [{}]}], "y": [5]})"));
}

TEST(ParseJsonRecords, RefusesAnythingButAnArrayOfObjects) {
  const auto ignore = [](const JsonReader&) {};
  for (const char* const text : {"{}", "[]", R"({"r": {}})", R"({"r": {"a": {}}})", R"({"r": [1]})", R"({"r": [[{}]]})",
                                 R"({"r": null})", R"({"r": [{}, "x"]})"})
    expect_error(ErrorCode::invalid_input, "data.json: \"r\"",
                 [&] { parse_json_records(text, "data.json", "r", ignore); });
  expect_error(ErrorCode::invalid_input, "\"r[1].n\" is missing", [] {
    parse_json_records(R"({"r": [{"n": 1}, {}]})", "data.json", "r",
                       [](const JsonReader& record) { record.get_int("n", 0, 9); });
  });
}

TEST(JsonReader, ReadsTypedMembers) {
  const JsonReader json = reader(
      R"({"i": 6, "x": 0.5, "b": true, "s": "paper", "ints": [1, 2], "numbers": [1, 0.5], "strings": ["a"],
          "null": null, "object": {"i": 1}, "objects": [{"i": 1}, {"i": 2}]})");
  EXPECT_EQ(json.get_int("i", 1, 6), 6);
  EXPECT_EQ(json.get_number("x", 0, 1), 0.5);
  EXPECT_EQ(json.get_number("i", 0, 10), 6.0);
  EXPECT_TRUE(json.get_bool("b"));
  EXPECT_EQ(json.get_string("s"), "paper");
  EXPECT_EQ(json.get_choice("s", {"released", "paper"}), "paper");
  EXPECT_THAT(json.get_ints("ints", 2, 0, 9), ElementsAre(1, 2));
  EXPECT_THAT(json.get_numbers("numbers", 2, 0, 9), ElementsAre(1, 0.5));
  EXPECT_THAT(json.get_strings("strings", 1), ElementsAre("a"));
  EXPECT_EQ(json.get_object("object").get_int("i", 0, 9), 1);
  EXPECT_EQ(json.get_objects("objects", 2)[1].get_int("i", 0, 9), 2);
  EXPECT_FALSE(json.has("null"));
  EXPECT_FALSE(json.has("absent"));
}

TEST(JsonReader, DefaultsStandForMissingAndNullOnly) {
  const JsonReader json = reader(R"({"null": null, "wrong": [], "large": 10})");
  EXPECT_EQ(json.get_int("null", 0, 9, 5), 5);
  EXPECT_EQ(json.get_number("absent", 0, 1, 0.25), 0.25);
  EXPECT_TRUE(json.get_bool("absent", true));
  EXPECT_EQ(json.get_string("absent", "x"), "x");
  EXPECT_EQ(json.get_choice("absent", {"a", "b"}, "b"), "b");
  expect_refused("\"wrong\" is []; expected an integer from 0 to 9", [&] { json.get_int("wrong", 0, 9, 5); });
  expect_refused("\"large\" is 10; expected an integer from 0 to 9", [&] { json.get_int("large", 0, 9, 5); });
  expect_refused("\"wrong\"", [&] { json.get_bool("wrong", true); });
  expect_refused("\"wrong\"", [&] { json.get_string("wrong", ""); });
}

TEST(JsonReader, NamesKeyAndExpectation) {
  const JsonReader json = reader(
      R"({"f": 12.0, "big": 18446744073709551615, "n": -1, "s": "5", "a": [1, "x"], "o": {"layers": 0}, "l": [{"k": 1}]})");
  expect_refused("\"absent\" is missing", [&] { json.get_int("absent", 0, 1); });
  expect_refused("\"f\" is 12.0; expected an integer from 0 to 20", [&] { json.get_int("f", 0, 20); });
  expect_refused("\"big\" is 18446744073709551615", [&] { json.get_int("big", INT64_MIN, INT64_MAX); });
  expect_refused("\"n\" is -1; expected a number from 0 to 1", [&] { json.get_number("n", 0, 1); });
  expect_refused("\"s\" is \"5\"; expected a number", [&] { json.get_number("s", 0, 9); });
  expect_refused("\"s\" is \"5\"; expected one of \"a\", \"b\"", [&] { json.get_choice("s", {"a", "b"}); });
  expect_refused("\"a[1]\" is \"x\"; expected an integer", [&] { json.get_ints("a", 2, 0, 9); });
  expect_refused("\"a\" is [1,\"x\"]; expected an array of at most 1 elements", [&] { json.get_ints("a", 1, 0, 9); });
  expect_refused("\"o.layers\" is 0; expected an integer from 1 to 64",
                 [&] { json.get_object("o").get_int("layers", 1, 64); });
  expect_refused("\"l[0].m\" is missing", [&] { json.get_objects("l", 1)[0].get_string("m"); });
  expect_refused("\"s\" is \"5\"; expected an object", [&] { json.get_object("s"); });
  expect_refused("holds [1]; expected a JSON object", [] { reader("[1]"); });
}

TEST(JsonReader, NestedReadersOutliveTheirParent) {
  const JsonReader inner = reader(R"({"o": {"p": {"i": 3}}})").get_object("o").get_object("p");
  EXPECT_EQ(inner.get_int("i", 0, 9), 3);
}

TEST(JsonReader, RejectsKeysNobodyAskedFor) {
  const JsonReader json = reader(R"({"steps": 30, "guidence": 2, "o": {"typo": 1}})");
  json.get_int("steps", 1, 1000);
  json.get_number("guidance", 0, 100, 1);
  const JsonReader inner = json.get_object("o");
  expect_refused("unknown key \"guidence\"; did you mean \"guidance\"?", [&] { json.reject_unknown_keys(); });
  expect_refused("unknown key \"o.typo\"", [&] { inner.reject_unknown_keys(); });
  json.has("guidence");
  EXPECT_NO_THROW(json.reject_unknown_keys());
}

TEST(JsonReader, OpensFiles) {
  const TemporaryFolder folder;
  EXPECT_EQ(JsonReader::open(folder.write("a.json", "\xef\xbb\xbf{\"i\": 1}")).get_int("i", 0, 1), 1);
  expect_error(ErrorCode::not_found, "b.json", [&] { JsonReader::open(folder.path() / "b.json"); });
  expect_error(ErrorCode::invalid_input, "at most 2 bytes", [&] { read_json(folder.path() / "a.json", 2); });
}

}  // namespace
}  // namespace capdiff
