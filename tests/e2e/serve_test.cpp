#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/support/command.h"
#include "tests/support/http_client.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_model.h"

namespace capdiff::test {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

/// A folder with a tiny model, and what the command line says with it.
class Serving : public testing::Test {
 protected:
  void SetUp() override { write_tiny_model(folder_.path()); }

  std::vector<std::string> with_model(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"-m", folder_.path().string()});
    return arguments;
  }

  /// The JSON that the command prints for the scene.
  json offline(const std::string& command, std::vector<std::string> arguments = {}) const {
    arguments = with_model(arguments);
    arguments.insert(arguments.begin(), {command, kScene.string()});
    arguments.insert(arguments.end(), {"--deterministic", "--threads", "1", "--format", "jsonl"});
    const CommandResult result = run_capdiff(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    return json::parse(result.output);
  }

  TemporaryFolder folder_;
  const std::string picture_ = read_text_bytes(kScene);
  const std::string member_ = "\"image\": \"" + base64(picture_) + "\"";
};

/// The command tells nothing of single words.
json without_words(json candidates) {
  for (json& candidate : candidates) candidate.erase("words");
  return candidates;
}

json error_of(const HttpReply& reply) {
  const json body = json::parse(reply.body, nullptr, false);
  if (!body.is_object() || !body.contains("error")) return json::object();
  EXPECT_EQ(body["error"]["request_id"], reply.fields.at("x-request-id"));
  return body["error"];
}

TEST_F(Serving, CaptionsAreThoseOfTheCommand) {
  const json expected = offline("caption", {"--candidates", "2", "--steps", "5", "--seed", "7"});
  const RunningServer server(with_model({}));
  HttpClient client(server.port());
  for (const std::string& request : {post_form(picture_, {{"n", "2"}, {"steps", "5"}, {"seed", "7"}}),
                                     post_json("{" + member_ + R"(, "n": 2, "steps": 5, "seed": 7})"),
                                     post_json(R"({"image": "data:image/png;base64,)" + base64(picture_) +
                                               R"(", "n": 2, "steps": 5, "seed": 7})")}) {
    const HttpReply reply = client.exchange(request);  // on one connection
    ASSERT_EQ(reply.status, 200) << reply.body;
    const json answer = json::parse(reply.body);
    EXPECT_EQ(answer["caption"], expected["caption"]);
    EXPECT_EQ(without_words(answer["candidates"]), expected["candidates"]);
    EXPECT_EQ(answer["steps"], 5);
    EXPECT_EQ(answer["id"], reply.fields.at("x-request-id"));
    EXPECT_EQ(reply.fields.at("content-type"), "application/json");
    EXPECT_FALSE(reply.fields.contains("access-control-allow-origin"));
  }
}

TEST_F(Serving, SeveralPicturesHaveAnAnswerEach) {
  const json expected = offline("caption");
  const RunningServer server(with_model({}));
  const HttpReply reply = HttpClient(server.port())
                              .exchange(post_json(R"({"images": [")" + base64(picture_) + R"(", "Zm9v", "!!", ")" +
                                                  base64(picture_) + R"("]})"));
  ASSERT_EQ(reply.status, 200) << reply.body;
  const json results = json::parse(reply.body)["results"];
  ASSERT_EQ(results.size(), 4u);
  EXPECT_EQ(results[0]["caption"], expected["caption"]);
  for (const std::size_t unreadable : {1, 2}) EXPECT_EQ(results[unreadable]["error"]["code"], "invalid_image");
  EXPECT_EQ(without_words(results[3]["candidates"]), expected["candidates"]);
}

/// The data of the events of that name.
std::vector<json> events(const std::string& stream, const std::string& name) {
  std::vector<json> found;
  const std::string mark = "event: " + name + "\ndata: ";
  for (std::size_t at = stream.find(mark); at != std::string::npos; at = stream.find(mark, at + 1)) {
    const std::size_t begin = at + mark.size();
    found.push_back(json::parse(stream.substr(begin, stream.find("\n\n", begin) - begin)));
  }
  return found;
}

TEST_F(Serving, StreamsStepsAndTheCaption) {
  const json expected = offline("caption", {"--steps", "6", "--trace", "--back-refine"});
  const RunningServer server(with_model({"--steps", "6"}));
  HttpClient client(server.port());
  const HttpReply reply = client.exchange(post_json("{" + member_ + R"(, "stream": true, "back_refine": true})"));
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.fields.at("content-type"), "text/event-stream");
  const std::vector<json> steps = events(reply.body, "step"), captions = events(reply.body, "caption");
  ASSERT_EQ(steps.size(), expected["trace"].size());
  for (std::size_t i = 0; i < steps.size(); ++i) {
    EXPECT_EQ(steps[i]["text"], expected["trace"][i]["text"]);
    EXPECT_EQ(steps[i]["t"], expected["trace"][i]["t"]);
    EXPECT_EQ(steps[i]["pieces"].size(), expected["trace"][i]["pieces"].size());
    EXPECT_EQ(steps[i]["calls"], steps.size());
  }
  ASSERT_EQ(captions.size(), 1u);
  EXPECT_EQ(captions[0]["caption"], expected["caption"]);
  // The connection goes on.
  const HttpReply fewer = client.exchange(post_json("{" + member_ + R"(, "stream": true, "every": 4})"));
  EXPECT_EQ(events(fewer.body, "step").size(), 2u);
}

TEST_F(Serving, FillsBlanks) {
  const CommandResult expected = run_capdiff({"fill", kScene.string(), "a [MASK] on [MASK]", "-m",
                                              folder_.path().string(), "--deterministic", "--threads", "1"});
  const RunningServer server(with_model({}));
  const HttpReply reply =
      HttpClient(server.port()).exchange(post_json("{" + member_ + R"(, "template": "a [MASK] on [MASK]"})"));
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(json::parse(reply.body)["caption"].get<std::string>() + "\n", expected.output);
  EXPECT_EQ(json::parse(reply.body)["words"].size(), 4u);
}

TEST_F(Serving, SpeaksTheOtherInterfaceToo) {
  const json expected = offline("caption");
  const RunningServer server(with_model({}));
  HttpClient client(server.port());
  const std::string messages =
      R"("messages": [{"role": "user", "content": [{"type": "text", "text": "Describe it."}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,)" +
      base64(picture_) + R"("}}]}])";
  const HttpReply whole = client.exchange(post_json("{\"model\": \"any\", " + messages + "}", "/v1/chat/completions"));
  ASSERT_EQ(whole.status, 200) << whole.body;
  EXPECT_EQ(json::parse(whole.body)["choices"][0]["message"]["content"], expected["caption"]);
  const HttpReply stream = client.exchange(post_json("{\"stream\": true, " + messages + "}", "/v1/chat/completions"));
  EXPECT_THAT(stream.body,
              HasSubstr("\"delta\":{\"role\":\"assistant\",\"content\":\"" + expected["caption"].get<std::string>()));
  EXPECT_TRUE(stream.body.ends_with("data: [DONE]\n\n"));
  const HttpReply counted = client.exchange(
      post_json(R"({"stream": true, "n": 2, "stream_options": {"include_usage": true}, )" + messages + "}",
                "/v1/chat/completions"));
  EXPECT_THAT(counted.body, HasSubstr("\"index\":1"));
  EXPECT_THAT(counted.body, HasSubstr("\"choices\":[],\"usage\":{\"prompt_tokens\":0"));
  const json model = json::parse(client.exchange(http_get("/v1/models")).body)["data"][0];
  EXPECT_EQ(json::parse(client.exchange(http_get("/v1/models/default")).body), model);
  EXPECT_EQ(model["id"], "default");
  EXPECT_EQ(model["capdiff"]["method"], "ladic");
  EXPECT_EQ(model["capdiff"]["fill"], true);
}

TEST_F(Serving, TellsHowItIs) {
  const RunningServer server(with_model({}));
  HttpClient client(server.port());
  EXPECT_EQ(client.exchange(http_get("/healthz")).body, R"({"status":"ok"})");
  EXPECT_EQ(client.exchange(http_get("/readyz?x=1")).body, R"({"status":"ready"})");
  client.exchange(post_form(picture_));
  const std::string metrics = client.exchange(http_get("/metrics")).body;
  EXPECT_THAT(metrics, HasSubstr("capdiff_requests_total{route=\"/v1/captions\",status=\"200\"} 1\n"));
  EXPECT_THAT(metrics, HasSubstr("capdiff_pictures_total 1\n"));
  const HttpReply page = client.exchange(http_get("/"));
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(page.fields.at("content-security-policy"), HasSubstr("default-src 'self'"));
  EXPECT_THAT(page.body, HasSubstr("<html"));
  EXPECT_EQ(client.exchange(http_get("/page.js")).fields.at("content-type"), "text/javascript; charset=utf-8");
  const HttpReply head = client.exchange("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n", "HEAD");
  EXPECT_EQ(head.fields.at("content-length"), std::to_string(page.body.size()));
  EXPECT_EQ(client.exchange(http_get("/healthz")).status, 200);
}

/// A request, and how it is refused.
struct RefusedRequest {
  const char* what;
  std::string request;
  int status;
  const char* code;
  const char* param = "";
};

TEST_F(Serving, RefusesWithACode) {
  const RunningServer server(with_model({"--max-body-mb", "1", "--max-header-kb", "4", "--max-images", "2",
                                         "--max-megapixels", "1", "--timeout-s", "2"}));
  // A PNG that says it has 40,000 x 40,000 pixels; the checksums are right as far as it goes.
  const std::string bomb(
      "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x9c\x40\0\0\x9c\x40\x08\x02\0\0\0\xde\x6e\x99\x52\0\0\0\x04IDAT", 41);
  const std::string two_mib(std::size_t{2} << 20, 'x');
  const RefusedRequest refused[] = {
      {"a text file", post_form("hello"), 400, "invalid_image", "image"},
      {"no picture", post_json("{}"), 400, "invalid_image", "image"},
      {"a damaged picture", post_form(picture_.substr(0, picture_.size() / 2)), 400, "invalid_image", "image"},
      {"too many pixels", post_form(bomb), 413, "too_large", "image"},
      {"too many pictures", post_json(R"({"images": ["Zm9v", "Zm9v", "Zm9v"]})"), 413, "too_large", "images"},
      {"a URL", post_json(R"({"image": "http://127.0.0.1/a.png"})"), 400, "url_not_allowed", "image"},
      {"a file", post_json(R"({"image": "file:///etc/passwd"})"), 400, "url_not_allowed", "image"},
      {"half JSON", post_json("{\"image\": "), 400, "invalid_json"},
      {"half a form", http_post("/v1/captions", "multipart/form-data; boundary=x", "--x\r\n"), 400, "bad_request"},
      {"an unknown option", post_json("{" + member_ + R"(, "step": 1})"), 400, "invalid_option", "step"},
      {"a wrong value", post_json("{" + member_ + R"(, "steps": 0})"), 400, "invalid_option", "steps"},
      {"a template that is too long", post_json("{" + member_ + R"(, "template": "[MASK:30]"})"), 400, "invalid_option",
       "template"},
      {"another type", http_post("/v1/captions", "image/png", picture_), 415, "unsupported_media_type"},
      {"another path", http_get("/v1/other"), 404, "not_found"},
      {"a folder", http_get("/../etc/passwd"), 404, "not_found"},
      {"another method", http_get("/v1/captions"), 405, "method_not_allowed"},
      {"a body that is too large", http_post("/v1/captions", "application/json", two_mib), 413, "too_large"},
      {"chunks that are too large",
       "POST /v1/captions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: "
       "chunked\r\n\r\n"
       "200000\r\n" +
           two_mib,
       413, "too_large"},
      {"a long header", http_get("/healthz", "X: " + std::string(5000, 'x') + "\r\n"), 431, "headers_too_large"},
      {"an endless line", std::string(100'000, 'x'), 431, "headers_too_large"},
      {"no HTTP", "hello\r\n\r\n", 400, "bad_request"},
      {"two lengths",
       "POST /v1/captions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
       "2\r\nContent-Length: 3\r\n\r\n{}",
       400, "bad_request"},
      {"a length and chunks",
       "POST /v1/captions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
       "2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
       400, "bad_request"},
      {"a header that does not end", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n", 408, "timeout"},
      {"a body that does not end",
       "POST /v1/captions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
       408, "timeout"},
  };
  for (const RefusedRequest& each : refused) {
    const HttpReply reply = HttpClient(server.port()).exchange(each.request);
    EXPECT_EQ(reply.status, each.status) << each.what << ": " << reply.body;
    const json error = error_of(reply);
    EXPECT_EQ(error.value("code", ""), each.code) << each.what;
    EXPECT_EQ(error.value("param", ""), each.param) << each.what;
    EXPECT_NE(error.value("message", ""), "") << each.what;
  }
  EXPECT_EQ(HttpClient(server.port()).exchange(http_get("/v1/captions")).fields.at("allow"), "POST");
  EXPECT_EQ(HttpClient(server.port()).exchange(post_form(picture_)).status, 200);
}

TEST_F(Serving, ModelsThatDoNotDenoiseSaySo) {
  const TemporaryFolder folder;
  write_tiny_autoregressive_model(folder.path());
  const RunningServer server({"-m", folder.path().string()});
  HttpClient client(server.port());
  EXPECT_EQ(client.exchange(post_form(picture_)).status, 200);
  const HttpReply reply = client.exchange(post_form(picture_, {{"template", "a [MASK]"}}));
  EXPECT_EQ(reply.status, 422);
  EXPECT_EQ(error_of(reply)["param"], "template");
  EXPECT_EQ(json::parse(client.exchange(http_get("/v1/models")).body)["data"][0]["capdiff"]["stream"], false);
}

TEST_F(Serving, AsksForTheToken) {
  const RunningServer server(with_model({"--token", "secret"}));
  HttpClient client(server.port());
  for (const char* field : {"", "Authorization: Bearer wrong\r\n", "Authorization: Bearer secre\r\n",
                            "Authorization: Bearer secret2\r\n", "Authorization: Basic secret\r\n"}) {
    const HttpReply reply = client.exchange(http_get("/v1/models", field));
    EXPECT_EQ(reply.status, 401) << field;
    EXPECT_EQ(error_of(reply)["code"], "unauthorized");
    EXPECT_EQ(reply.fields.at("www-authenticate"), "Bearer");
  }
  EXPECT_EQ(client.exchange(http_get("/v1/models", "Authorization: bearer secret\r\n")).status, 200);
  EXPECT_EQ(client.exchange(http_get("/metrics")).status, 401);
  EXPECT_EQ(client.exchange(http_get("/healthz")).status, 200);
  EXPECT_EQ(client.exchange(http_get("/")).status, 200);
  // Refused before its body has come, and the body is not taken for the next request.
  const HttpReply refused =
      HttpClient(server.port())
          .exchange("POST /v1/captions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n");
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.fields.at("connection"), "close");
}

/// Waits until so many pictures wait.
void await_queue(const RunningServer& server, int pictures) {
  const std::string line = "capdiff_queued_pictures " + std::to_string(pictures) + "\n";
  HttpClient client(server.port());
  while (client.exchange(http_get("/metrics")).body.find(line) == std::string::npos) std::this_thread::sleep_for(5ms);
}

TEST_F(Serving, RefusesMoreThanItsQueueHolds) {
  const RunningServer server(with_model({"--max-queue", "2", "--max-images", "1", "--max-wait-ms", "10000"}));
  HttpClient first(server.port()), second(server.port());
  first.send(post_form(picture_));
  second.send(post_form(picture_));
  await_queue(server, 2);
  const HttpReply reply = HttpClient(server.port()).exchange(post_form(picture_));
  EXPECT_EQ(reply.status, 429);
  EXPECT_EQ(error_of(reply)["code"], "queue_full");
  EXPECT_GE(std::stoi(reply.fields.at("retry-after")), 1);
  EXPECT_EQ(HttpClient(server.port()).exchange(http_get("/readyz")).status, 503);
  EXPECT_EQ(HttpClient(server.port()).exchange(http_get("/healthz")).status, 200);
}

TEST_F(Serving, StopsComputingForClientsThatLeave) {
  const RunningServer server(with_model({"--batch", "1"}));
  {
    // Without this, the captions below would come only after a hundred thousand rows.
    std::vector<std::unique_ptr<HttpClient>> clients;
    for (int i = 0; i < 100; ++i) {
      clients.push_back(std::make_unique<HttpClient>(server.port()));
      clients.back()->send(post_json("{" + member_ + R"(, "steps": 1000, "n": 16})"));
    }
  }
  EXPECT_EQ(HttpClient(server.port()).exchange(post_form(picture_)).status, 200);
}

TEST_F(Serving, FinishesWhatItHasAcceptedWhenItIsTerminated) {
  RunningServer server(with_model({"--max-wait-ms", "2000"}));
  HttpClient accepted(server.port()), idle(server.port());
  accepted.send(post_form(picture_));
  await_queue(server, 1);
  server.terminate();
  HttpReply refused;
  do refused = idle.exchange(http_get("/readyz"));
  while (refused.status == 200);
  EXPECT_EQ(error_of(refused)["code"], "draining");
  EXPECT_EQ(error_of(HttpClient(server.port()).exchange(post_form(picture_)))["code"], "draining");
  const HttpReply reply = accepted.read();
  EXPECT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(server.wait(), 0);
  EXPECT_THAT(server.log(), HasSubstr(" POST /v1/captions 200 "));
  EXPECT_THAT(server.log(), HasSubstr(reply.fields.at("x-request-id")));
}

TEST_F(Serving, EndsAtOnceWhenItIsTerminatedTwice) {
  RunningServer server(with_model({"--max-wait-ms", "10000"}));
  HttpClient accepted(server.port()), idle(server.port());
  accepted.send(post_form(picture_));
  await_queue(server, 1);
  server.terminate();
  while (idle.exchange(http_get("/readyz")).status == 200) {
  }
  server.terminate();
  EXPECT_EQ(server.wait(), 1);
  EXPECT_THAT(server.log(), HasSubstr("a second signal ends it at once\n"));
  EXPECT_THAT(server.log(), HasSubstr("ended by a second signal: "));
}

TEST_F(Serving, IsWronglyCalled) {
  const RunningServer server(with_model({}));
  const CommandResult taken =
      run_capdiff({"serve", "-m", folder_.path().string(), "--port", std::to_string(server.port())});
  EXPECT_EQ(taken.exit_code, 1);
  EXPECT_THAT(taken.errors, HasSubstr("Address already in use"));
  const CommandResult name = run_capdiff({"serve", "-m", folder_.path().string(), "--host", "localhost"});
  EXPECT_EQ(name.exit_code, 2);
  EXPECT_THAT(name.errors, Not(HasSubstr("reached by others")));
  for (const std::vector<std::string>& wrong :
       std::vector<std::vector<std::string>>{{"--port", "65536"},
                                             {"--max-images", "9", "--max-queue", "8"},
                                             {"--token", "p\u00e4ssword"},
                                             {"--token", "abc\u200b"},
                                             {"--token", "abc "},
                                             {"--steps", "1001"},
                                             {"--steps", "9", "--max-steps", "8"},
                                             {"--candidates", "17"},
                                             {"--seed", "9007199254740993"}}) {
    std::vector<std::string> arguments = with_model(wrong);
    arguments.insert(arguments.begin(), {"serve", "--port", "0"});
    const CommandResult result = run_capdiff(arguments);
    EXPECT_EQ(result.exit_code, 2) << wrong[0] << " " << wrong[1] << ": " << result.errors;
    EXPECT_THAT(result.errors, HasSubstr(wrong[0].substr(2))) << wrong[1];
  }
}

}  // namespace
}  // namespace capdiff::test
