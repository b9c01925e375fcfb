#include "capdiff/serving/multipart.h"

#include "tests/support/expect_refusal.h"

namespace capdiff::test {
namespace {

constexpr const char* kType = "multipart/form-data; boundary=xyz";

std::string part(const std::string& header, const std::string& content) {
  return "--xyz\r\n" + header + "\r\n\r\n" + content + "\r\n";
}

std::string multipart_field(const std::string& name, const std::string& content) {
  return part("Content-Disposition: form-data; name=\"" + name + "\"", content);
}

/// "name=content;…" of a body.
std::string parsed(const std::string& body, const std::string& type = kType, std::size_t max_parts = 8) {
  std::string text;
  for (const FormPart& found : parse_form(body, type, max_parts))
    text += found.name + "=" + std::string(found.content) + ";";
  return text;
}

TEST(Multipart, FindsParts) {
  EXPECT_EQ(parsed(multipart_field("a", "1") + multipart_field("b", "two\r\nlines") + "--xyz--\r\n"),
            "a=1;b=two\r\nlines;");
  EXPECT_EQ(parsed("--xyz--"), "");
  EXPECT_EQ(parsed(multipart_field("empty", "") + "--xyz--"), "empty=;");
}

TEST(Multipart, ReadsWhatClientsSend) {
  EXPECT_EQ(parsed("preamble\r\n" + multipart_field("a", "1") + "--xyz--\r\nepilogue"), "a=1;");
  EXPECT_EQ(
      parsed(part("Content-Type: image/png\r\ncontent-disposition: FORM-DATA; filename=\"a;\\\"b.png\"; Name=image",
                  "\x89PNG") +
             "--xyz--"),
      "image=\x89PNG;");
  EXPECT_EQ(parsed(multipart_field("a", "1") + "--xyz \t\r\n" + multipart_field("b", "2").substr(7) + "--xyz--"),
            "a=1;b=2;");
  EXPECT_EQ(parsed(multipart_field("a", "1") + "--xyz--", "Multipart/Form-Data; charset=utf-8; Boundary=\"xyz\""),
            "a=1;");
  EXPECT_EQ(parsed(multipart_field("a", "no --xyz at the start of a line") + "--xyz--"),
            "a=no --xyz at the start of a line;");
}

TEST(Multipart, RefusesWhatIsNoForm) {
  const auto refused = [](const std::string& body, const std::string& why, const std::string& type = kType) {
    expect_refusal(Refusal::bad_request, "", why, [&] { parsed(body, type); });
  };
  refused("", "cut off");
  refused("no boundary", "cut off");
  refused(multipart_field("a", "1"), "cut off");
  refused(multipart_field("a", "1") + "--xyz", "line break");
  refused("--xyzz\r\n", "line break");
  refused("--xyz\r\n", "no header");
  refused(part(std::string(10'000, 'x'), "1") + "--xyz--", "more than 8192 bytes");
  refused(part("Content-Type: image/png", "1") + "--xyz--", "no name");
  refused(part("Content-Disposition: form-data", "1") + "--xyz--", "no name");
  refused(part("Content-Disposition: form-data; name=\"a", "1") + "--xyz--", "no name");
  refused(part("Content-Disposition: attachment; name=\"a\"", "1") + "--xyz--", "not form-data");
  refused(part("Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b", "1") + "--xyz--",
          "two names");
  refused(part("Content-Disposition form-data", "1") + "--xyz--", "without a colon");
  refused(part("Content-Transfer-Encoding: base64\r\nContent-Disposition: form-data; name=a", "1") + "--xyz--",
          "base64");
  refused(multipart_field("\xff", "1") + "--xyz--", "no name");
  refused(multipart_field("a", "1") + "--xyz--", "boundary", "multipart/form-data");
  refused(multipart_field("a", "1") + "--xyz--", "boundary", "multipart/form-data; boundary=" + std::string(71, 'x'));
  refused(multipart_field("a", "1") + "--xyz--", "boundary", "multipart/form-data; boundary=\"xyz");
}

TEST(Multipart, CountsParts) {
  std::string body;
  for (int i = 0; i < 8; ++i) body += multipart_field("a", "1");
  EXPECT_EQ(parsed(body + "--xyz--").size(), 32u);
  expect_refusal(Refusal::too_large, "", "more than 8 parts",
                 [&] { parsed(body + multipart_field("a", "1") + "--xyz--"); });
}

TEST(Multipart, KnowsMediaTypes) {
  EXPECT_EQ(media_type(" Application/JSON ; charset=utf-8"), "application/json");
  EXPECT_EQ(media_type(""), "");
  EXPECT_EQ(media_type_parameter("a/b; c=d; e=\"f;g\"", "E"), "f;g");
  EXPECT_EQ(media_type_parameter("a/b; c", "c"), "");
}

}  // namespace
}  // namespace capdiff::test
