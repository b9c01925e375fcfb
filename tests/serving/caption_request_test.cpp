#include "capdiff/serving/caption_request.h"

#include "tests/support/expect_refusal.h"

namespace capdiff::test {
namespace {

const ServedModel kDenoising{
    .method = "ladic", .max_words = 12, .clip = false, .generation = {.steps = 30, .guidance = 2.0}};
const ServedModel kLeftToRight{
    .method = "autoregressive", .max_words = 12, .clip = true, .generation = {.left_to_right = LeftToRight()}};
constexpr const char* kForm = "multipart/form-data; boundary=xyz";

CaptionRequest request(const std::string& json, const ServedModel& model = kDenoising) {
  return parse_caption_request("application/json", json, model, {.max_images = 3});
}

/// A request for the picture "foo" with further members.
CaptionRequest with(const std::string& members, const ServedModel& model = kDenoising) {
  return request(R"({"image": "Zm9v")" + members + "}", model);
}

std::string form_field(const std::string& name, const std::string& content) {
  return "--xyz\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + content + "\r\n";
}

std::string bytes_of(const SentPicture& picture) {
  return {reinterpret_cast<const char*>(picture.bytes.data()), picture.bytes.size()};
}

TEST(CaptionRequests, HaveThePicturesThatWereSent) {
  const CaptionRequest one = with("");
  ASSERT_EQ(one.pictures.size(), 1u);
  EXPECT_EQ(bytes_of(one.pictures[0]), "foo");
  EXPECT_FALSE(one.several);
  for (const char* url : {"data:image/png;base64,Zm9vYg==", "DATA:image/PNG;BASE64,Zm9vYg=="})
    EXPECT_EQ(bytes_of(request(R"({"image": ")" + std::string(url) + "\"}").pictures[0]), "foob");
  const CaptionRequest many = request(R"({"images": ["Zm9v", "data:;base64,Zg=="]})");
  ASSERT_EQ(many.pictures.size(), 2u);
  EXPECT_EQ(bytes_of(many.pictures[1]), "f");
  EXPECT_TRUE(many.several);
  EXPECT_TRUE(request(R"({"images": ["Zm9v"]})").several);
}

TEST(CaptionRequests, HaveTheModelsOptionsWhereTheySayNothing) {
  const CaptionRequest asked = with("");
  EXPECT_EQ(asked.options.steps, 30);
  EXPECT_EQ(asked.options.guidance, 2.0);
  EXPECT_FALSE(asked.stream);
  EXPECT_EQ(asked.every, 1);
  EXPECT_FALSE(asked.sentence);
}

TEST(CaptionRequests, HaveOptions) {
  const CaptionRequest asked = with(
      R"(, "n": 3, "steps": 7, "guidance": 1.5, "length": 4, "seed": 9, "select": "mbr", "back_refine": true, "stream": true, "every": 2)");
  EXPECT_EQ(asked.options.candidates, 3);
  EXPECT_EQ(asked.options.steps, 7);
  EXPECT_EQ(asked.options.guidance, 1.5);
  EXPECT_EQ(asked.options.length, 4);
  EXPECT_EQ(asked.options.seed, 9u);
  EXPECT_EQ(asked.options.select, Selection::mbr);
  EXPECT_TRUE(asked.options.refine);
  EXPECT_TRUE(asked.stream);
  EXPECT_EQ(asked.every, 2);
  EXPECT_EQ(with(R"(, "template": "a [MASK:2] dog")").sentence->parts.size(), 3u);
}

TEST(CaptionRequests, AreReadFromForms) {
  const CaptionRequest asked =
      parse_caption_request(kForm,
                            form_field("image", "foo") + form_field("steps", "7") + form_field("guidance", "0.5") +
                                form_field("stream", "true") + form_field("template", "a [MASK]") + "--xyz--",
                            kDenoising, {});
  EXPECT_EQ(bytes_of(asked.pictures.at(0)), "foo");
  EXPECT_EQ(asked.options.steps, 7);
  EXPECT_EQ(asked.options.guidance, 0.5);
  EXPECT_TRUE(asked.stream);
  EXPECT_TRUE(asked.sentence);
  const CaptionRequest two =
      parse_caption_request(kForm, form_field("file", "foo") + form_field("image", "bar") + "--xyz--", kDenoising, {});
  EXPECT_TRUE(two.several);
  EXPECT_EQ(bytes_of(two.pictures.at(1)), "bar");
}

TEST(CaptionRequests, RefuseWrongForms) {
  const auto refused = [](Refusal refusal, const std::string& param, const std::string& why,
                          const std::string& fields) {
    expect_refusal(refusal, param, why, [&] {
      parse_caption_request(kForm, form_field("image", "foo") + fields + "--xyz--", kDenoising, {.max_images = 2});
    });
  };
  for (const char* text : {"x", "", "1.5", " 1", "1 ", "0", "1001", "99999999999999999999", "0x10"})
    refused(Refusal::invalid_option, "steps", "steps", form_field("steps", text));
  for (const char* text : {"x", "nan", "inf", "1e999", "101"})
    refused(Refusal::invalid_option, "guidance", "guidance", form_field("guidance", text));
  for (const char* text : {"1", "yes", "True"})
    refused(Refusal::invalid_option, "stream", "stream", form_field("stream", text));
  refused(Refusal::invalid_option, "steps", "twice", form_field("steps", "1") + form_field("steps", "1"));
  refused(Refusal::invalid_option, "photo", "no option", form_field("photo", "1"));
  refused(Refusal::invalid_option, "template", "UTF-8", form_field("template", "[MASK] \xff"));
  refused(Refusal::invalid_option, "template", "UTF-8", form_field("template", "[MASK]" + std::string(1000, 'a')));
  refused(Refusal::too_large, "image", "limit of 2", form_field("image", "a") + form_field("image", "b"));
  expect_refusal(Refusal::invalid_image, "image", "no picture",
                 [] { parse_caption_request(kForm, form_field("steps", "1") + "--xyz--", kDenoising, {}); });
}

TEST(CaptionRequests, RefuseWrongJson) {
  for (const char* text : {"", "{", "[]", "1", "{\"image\": \"Zm9v\"} x", "{\"a\": 1, \"a\": 2}", "\xff"})
    expect_refusal(Refusal::invalid_json, "", "", [&] { request(text); });
  expect_refusal(Refusal::invalid_json, "", "deeper", [] { request(std::string(100, '[') + std::string(100, ']')); });
  expect_refusal(Refusal::invalid_json, "", "4099 values", [] {
    std::string many = "{\"x\": [";
    for (int i = 0; i < 5000; ++i) many += "[],";
    request(many + "[]]}");
  });
  // Commas in a string are no values.
  expect_refusal(Refusal::invalid_image, "image", "not base64",
                 [] { request("{\"image\": \"" + std::string(5000, ',') + "\\\",,\"}"); });
}

TEST(CaptionRequests, RefuseWhatIsNoPicture) {
  expect_refusal(Refusal::invalid_image, "image", "no picture", [] { request("{}"); });
  expect_refusal(Refusal::invalid_image, "image", "not a string", [] { request(R"({"image": 1})"); });
  expect_refusal(Refusal::invalid_image, "image", "not base64", [] { request(R"({"image": "Zm9"})"); });
  expect_refusal(Refusal::invalid_image, "image", "without", [] { request(R"({"image": "data:image/png,Zm9v"})"); });
  expect_refusal(Refusal::invalid_image, "image", "without", [] { request(R"({"image": "data:"})"); });
  expect_refusal(Refusal::invalid_image, "image", "no picture", [] { request(R"({"images": []})"); });
  expect_refusal(Refusal::invalid_option, "images", "array", [] { request(R"({"images": "Zm9v"})"); });
  expect_refusal(Refusal::invalid_option, "images", "together",
                 [] { request(R"({"image": "Zm9v", "images": ["Zm9v"]})"); });
  expect_refusal(Refusal::too_large, "images", "limit of 3",
                 [] { request(R"({"images": ["Zm9v", "Zm9v", "Zm9v", "Zm9v"]})"); });
}

TEST(CaptionRequests, SeveralPicturesHaveTheirProblemsInTheirPlaces) {
  const CaptionRequest asked = request(R"({"images": ["Zm9v", "!!", "http://a/b.png"]})");
  ASSERT_EQ(asked.pictures.size(), 3u);
  EXPECT_FALSE(asked.pictures[0].problem);
  expect_refusal(Refusal::invalid_image, "images", "not base64",
                 [&] { std::rethrow_exception(asked.pictures[1].problem); });
  expect_refusal(Refusal::url_not_allowed, "images", "fetches nothing",
                 [&] { std::rethrow_exception(asked.pictures[2].problem); });
  const CaptionRequest none = request(R"({"images": [null]})");
  expect_refusal(Refusal::invalid_image, "images", "not a string",
                 [&] { std::rethrow_exception(none.pictures[0].problem); });
}

TEST(CaptionRequests, KeepToTheLimitsOfTheServer) {
  const RequestLimits limits{.max_images = 5000, .max_candidates = 4, .max_steps = 40};
  const auto limited = [&](const std::string& members) {
    return parse_caption_request("application/json", R"({"image": "Zm9v", )" + members + "}", kDenoising, limits);
  };
  EXPECT_EQ(limited(R"("n": 4, "steps": 40)").options.candidates, 4);
  expect_refusal(Refusal::invalid_option, "n", "4", [&] { limited(R"("n": 5)"); });
  expect_refusal(Refusal::invalid_option, "steps", "40", [&] { limited(R"("steps": 41)"); });
  expect_refusal(Refusal::invalid_option, "every", "40", [&] { limited(R"("every": 41)"); });
  // All choices of lengths together are no more work than 4 captions of 40 steps.
  EXPECT_TRUE(limited(R"("steps": 20, "template": "[MASK:1-8]")").sentence);
  expect_refusal(Refusal::invalid_option, "template", "", [&] { limited(R"("steps": 20, "template": "[MASK:1-9]")"); });
  EXPECT_TRUE(limited(R"("steps": 40, "n": 4, "template": "[MASK]")").sentence);

  std::string json = "{\"images\": [", form;
  for (std::size_t i = 0; i < limits.max_images; ++i) {
    json += "\"Zm9v\",";
    form += form_field("image", "foo");
  }
  json.back() = ']';
  form += form_field("n", "2") + form_field("steps", "7");
  EXPECT_EQ(parse_caption_request("application/json", json + "}", kDenoising, limits).pictures.size(), 5000u);
  EXPECT_EQ(parse_caption_request(kForm, form + "--xyz--", kDenoising, limits).pictures.size(), 5000u);
}

TEST(CaptionRequests, FetchNothing) {
  for (const char* url :
       {"http://127.0.0.1/x.png", "https://example.org/a", "file:///etc/passwd", "HTTP://a", "ftp://a"})
    expect_refusal(Refusal::url_not_allowed, "image", "fetches nothing",
                   [&] { request(std::string(R"({"image": ")") + url + "\"}"); });
}

TEST(CaptionRequests, RefuseWrongOptions) {
  const auto refused = [](const std::string& param, const std::string& why, const std::string& members,
                          Refusal refusal = Refusal::invalid_option) {
    expect_refusal(refusal, param, why, [&] { with(", " + members); });
  };
  refused("n", "16", R"("n": 17)");
  refused("n", "n", R"("n": 0)");
  refused("n", "n", R"("n": "1")");
  refused("steps", "1000", R"("steps": 1001)");
  refused("steps", "steps", R"("steps": 1.0)");
  refused("guidance", "100", R"("guidance": 101)");
  refused("length", "12", R"("length": 13)");
  refused("seed", "seed", R"("seed": -1)");
  refused("select", "mbr", R"("select": "best")");
  refused("select", "no CLIP", R"("select": "clip")", Refusal::unsupported);
  refused("back_refine", "back_refine", R"("back_refine": 1)");
  refused("every", "every", R"("every": 0)");
  refused("step", "no option", R"("step": 3)");
  refused("template", "blank", R"("template": "a dog")");
  refused("template", "1000", "\"template\": \"[MASK] " + std::string(1000, 'a') + "\"");
  // Every choice of lengths is drawn at the same time.
  refused("template", "", R"("template": "[MASK:1-8] [MASK:1-9]")");
  refused("template", "", R"("n": 16, "template": "[MASK:1-5]")");
  refused("length", "template", R"("length": 3, "template": "[MASK]")");
  expect_refusal(Refusal::invalid_option, "stream", "one picture",
                 [] { request(R"({"images": ["Zm9v"], "stream": true})"); });
}

TEST(CaptionRequests, RespectThatAModelDoesNotDenoise) {
  for (const char* members :
       {R"("steps": 3)", R"("guidance": 1)", R"("template": "[MASK]")", R"("back_refine": true)", R"("stream": true)"})
    EXPECT_THROW(with(std::string(", ") + members, kLeftToRight), RequestError) << members;
  expect_refusal(Refusal::unsupported, "steps", "left to right", [] { with(R"(, "steps": 3)", kLeftToRight); });
  EXPECT_EQ(with(R"(, "stream": false, "steps": null, "n": 2, "select": "clip")", kLeftToRight).options.select,
            Selection::clip);
}

TEST(ChatRequests, HaveThePictureOfTheLastMessageThatHasOne) {
  const std::string chat =
      R"({"model": "x", "temperature": 0.5, "n": 2, "seed": 4, "stream": true, "messages": [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:;base64,Zg=="}}]},
        {"role": "user", "content": [{"type": "text", "text": "What is this?"},
                                     {"type": "image_url", "image_url": {"url": "data:image/png;base64,Zm9v"}}]},
        {"role": "user", "content": "Answer."}]})";
  const CaptionRequest asked = parse_chat_request(chat, kDenoising, {});
  ASSERT_EQ(asked.pictures.size(), 1u);
  EXPECT_EQ(bytes_of(asked.pictures[0]), "foo");
  EXPECT_EQ(asked.options.candidates, 2);
  EXPECT_EQ(asked.options.seed, 4u);
  EXPECT_TRUE(asked.stream);
  EXPECT_FALSE(asked.sentence);
}

TEST(ChatRequests, FillSentencesWithBlanks) {
  const auto asked = parse_chat_request(
      R"({"messages": [{"content": [{"type": "text", "text": "a [MASK] dog"}, {"type": "image_url", "image_url": "Zm9v"}]}]})",
      kDenoising, {});
  ASSERT_TRUE(asked.sentence);
  EXPECT_EQ(asked.sentence->parts.size(), 3u);
}

TEST(ChatRequests, GoByTheNewestSentence) {
  const std::string picture = R"({"type": "image_url", "image_url": "Zm9v"})";
  const auto blanks_of = [&](const std::string& messages) {
    const CaptionRequest asked = parse_chat_request("{\"messages\": [" + messages + "]}", kDenoising, {});
    return asked.sentence ? asked.sentence->parts.front().text : "none";
  };
  const std::string first = R"({"content": [{"type": "text", "text": "first [MASK]"}, )" + picture + "]}";
  EXPECT_EQ(blanks_of(first + R"(, {"content": "second [MASK]"})"), "second ");
  EXPECT_EQ(blanks_of(first + R"(, {"content": [{"type": "text", "text": "second [MASK]"}]}, {"content": "Answer."})"),
            "second ");
  EXPECT_EQ(blanks_of(first + R"(, {"content": "Answer."})"), "first ");
  EXPECT_EQ(blanks_of(R"({"content": "first [MASK]"}, {"content": [)" + picture + "]}"), "none");
}

TEST(ChatRequests, HaveOptionsOfTheirOwn) {
  const auto with = [](const std::string& members, const ServedModel& model = kDenoising) {
    return parse_chat_request(
        R"({"messages": [{"content": [{"type": "image_url", "image_url": "Zm9v"}]}], )" + members + "}", model, {});
  };
  EXPECT_EQ(with(R"("seed": -1)").options.seed, static_cast<std::uint64_t>(-1));
  EXPECT_TRUE(with(R"("stream": true)", kLeftToRight).stream);
  EXPECT_FALSE(with(R"("stream": null, "stream_options": null)").stream);
  EXPECT_FALSE(with(R"("stream": true, "stream_options": {})").stream_usage);
  EXPECT_TRUE(with(R"("stream": true, "stream_options": {"include_usage": true})").stream_usage);
  for (const auto& [param, members] : std::initializer_list<std::pair<std::string, std::string>>{
           {"stream", R"("stream": "true")"},
           {"seed", R"("seed": 1.5)"},
           {"stream_options", R"("stream_options": true)"},
           {"stream_options", R"("stream_options": {"include_usage": 1})"}})
    expect_refusal(Refusal::invalid_option, param, param, [&] { with(members); });
}

TEST(ChatRequests, AreRefused) {
  const auto refused = [](Refusal refusal, const std::string& param, const std::string& why, const std::string& chat) {
    expect_refusal(refusal, param, why, [&] { parse_chat_request(chat, kDenoising, {}); });
  };
  refused(Refusal::invalid_option, "messages", "array", "{}");
  refused(Refusal::invalid_option, "messages", "array", R"({"messages": "x"})");
  refused(Refusal::invalid_image, "messages", "no message",
          R"({"messages": [1, {"content": 2}, {"content": [3, {}]}]})");
  refused(Refusal::url_not_allowed, "image_url", "fetches nothing",
          R"({"messages": [{"content": [{"type": "image_url", "image_url": {"url": "http://a/b.png"}}]}]})");
  refused(Refusal::invalid_image, "image_url", "not a string",
          R"({"messages": [{"content": [{"type": "image_url"}]}]})");
  refused(
      Refusal::invalid_option, "messages", "more than one",
      R"({"messages": [{"content": [{"type": "image_url", "image_url": "Zm9v"}, {"type": "image_url", "image_url": "Zm9v"}]}]})");
  refused(Refusal::invalid_option, "n", "n",
          R"({"n": 99, "messages": [{"content": [{"type": "image_url", "image_url": "Zm9v"}]}]})");
}

}  // namespace
}  // namespace capdiff::test
