#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
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

/// A server among clients that are slow, greedy, hostile or gone.
class BesiegedServer : public testing::Test {
 protected:
  void SetUp() override { write_tiny_model(folder_.path()); }

  std::vector<std::string> with_model(std::vector<std::string> arguments = {}) const {
    arguments.insert(arguments.begin(), {"-m", folder_.path().string()});
    return arguments;
  }
  static HttpReply ask(const RunningServer& server, const std::string& request) {
    return HttpClient(server.port()).exchange(request);
  }
  static std::vector<std::unique_ptr<HttpClient>> clients(const RunningServer& server, std::size_t count) {
    std::vector<std::unique_ptr<HttpClient>> all;
    while (all.size() < count) all.push_back(std::make_unique<HttpClient>(server.port()));
    return all;
  }
  static double metric(const RunningServer& server, const std::string& name) {
    const std::string text = ask(server, http_get("/metrics")).body;
    const std::size_t at = text.find("\n" + name + " ");
    return at == std::string::npos ? -1.0 : std::stod(text.substr(at + name.size() + 2));
  }

  TemporaryFolder folder_;
  const std::string picture_ = read_text_bytes(kScene);
  const std::string long_stream_ =
      post_json(R"({"image": ")" + base64(picture_) + R"(", "steps": 1000, "n": 16, "stream": true})");
  const std::string long_request_ = post_json(R"({"image": ")" + base64(picture_) + R"(", "steps": 1000, "n": 16})");
};

std::string code_of(const HttpReply& reply) {
  const json body = json::parse(reply.body, nullptr, false);
  if (!body.is_object() || !body.contains("error")) return "";
  EXPECT_EQ(body["error"]["request_id"], reply.fields.at("x-request-id"));
  return body["error"]["code"];
}

TEST_F(BesiegedServer, AnnouncedBodiesBlockNobody) {
  const RunningServer server(with_model());
  const auto announcing = clients(server, 40);
  for (const auto& client : announcing)
    client->send(
        "POST /v1/captions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Content-Length: 20971520\r\n\r\n");
  EXPECT_EQ(ask(server, post_form(picture_)).status, 200);
  EXPECT_EQ(ask(server, http_get("/readyz")).status, 200);
  announcing.front()->send("{");
  while (metric(server, "capdiff_body_bytes") != 65536.0) std::this_thread::sleep_for(5ms);
}

TEST_F(BesiegedServer, TheConnectionThatWaitsTheLongestGivesWay) {
  const RunningServer server(with_model({"--max-connections", "3"}));
  const auto idle = clients(server, 3);
  idle[0]->exchange(http_get("/healthz"));
  idle[1]->send("GET /healthz HTTP/1.1\r\n");
  idle[2]->exchange(http_get("/healthz"));
  idle[0]->exchange(http_get("/healthz"));  // now [1] has waited the longest, then [2]
  EXPECT_EQ(ask(server, post_form(picture_)).status, 200);
  const HttpReply told = idle[1]->read();
  EXPECT_EQ(told.status, 503);
  EXPECT_EQ(code_of(told), "busy");
  EXPECT_EQ(idle[0]->exchange(http_get("/healthz")).status, 200);
}

TEST_F(BesiegedServer, OneThatIsFullStillSaysHowItIs) {
  RunningServer server(with_model({"--max-connections", "1"}));
  auto busy = clients(server, 1);
  busy.front()->send(long_stream_);
  ASSERT_TRUE(busy.front()->read_until("event: step"));  // so it does not wait for its client any more
  EXPECT_EQ(ask(server, http_get("/healthz")).status, 200);
  const HttpReply refused = ask(server, post_form(picture_));
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(code_of(refused), "busy");
  EXPECT_EQ(refused.fields.at("connection"), "close");
  // Even beyond those that may ask.
  const auto idle = clients(server, 40);
  const HttpReply turned_away = idle.back()->read();
  EXPECT_EQ(turned_away.status, 503);
  EXPECT_EQ(code_of(turned_away), "busy");
  busy.clear();
  server.terminate();
  EXPECT_EQ(server.wait(), 0);
  EXPECT_THAT(server.log(), HasSubstr(refused.fields.at("x-request-id") + " POST /v1/captions 503 "));
  EXPECT_THAT(server.log(), HasSubstr(turned_away.fields.at("x-request-id") + " - - 503 "));
}

TEST_F(BesiegedServer, TakesNoMoreConnectionsThanFilesMayBeOpen) {
  RunningServer server(with_model(), {.open_files = 40});
  const auto idle = clients(server, 60);
  EXPECT_EQ(ask(server, http_get("/healthz")).status, 200);
  server.terminate();
  EXPECT_EQ(server.wait(), 0);
  EXPECT_THAT(server.log(), HasSubstr("--max-connections 256: the limit of open files (ulimit -n) leaves room for 8"));
}

TEST_F(BesiegedServer, NoticesThatClientsLeaveWhateverTheySentBefore) {
  const RunningServer server(with_model({"--batch", "1"}));
  for (const auto& client : clients(server, 100)) client->send(long_request_ + "\r\n");
  EXPECT_EQ(ask(server, post_form(picture_)).status, 200);
}

TEST_F(BesiegedServer, IsNotToldOfBodiesInTwoWays) {
  const RunningServer server(with_model());
  const std::string head = "POST /v1/captions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
  const std::string hidden = "GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n";
  for (const std::string& encoding :
       {"Transfer-Encoding: xchunked\r\n\r\n", "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "Transfer-Encoding: identity\r\n\r\n",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}) {
    HttpClient client(server.port());
    const HttpReply reply = client.exchange(head + encoding + hidden);
    EXPECT_EQ(reply.status, 400) << encoding;
    EXPECT_EQ(code_of(reply), "bad_request");
    EXPECT_EQ(client.read().status, 0) << encoding;
  }
  const HttpReply old = ask(
      server,
      "POST /v1/captions HTTP/1.0\r\nContent-Type: application/json\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n");
  EXPECT_EQ(old.status, 400);
}

TEST_F(BesiegedServer, KeepsToHttp) {
  const RunningServer server(with_model());
  EXPECT_EQ(ask(server, "GET http://127.0.0.1:80/healthz?x HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 200);
  EXPECT_EQ(ask(server, "GET HTTP://localhost HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 200);
  EXPECT_EQ(ask(server, "GET /healthz HTTP/1.1\r\n\r\n").status, 400);
  EXPECT_EQ(ask(server, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n").status, 400);
  EXPECT_EQ(ask(server, "GET /healthz HTTP/1.0\r\n\r\n").status, 200);
  const std::string rest =
      "Host: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nConnection: "
      "close\r\nContent-Length: 2\r\n\r\n{}";
  EXPECT_EQ(ask(server, "POST /v1/captions HTTP/1.1\r\n" + rest).status, 100);
  EXPECT_EQ(ask(server, "POST /v1/captions HTTP/1.0\r\n" + rest).status, 400);
  const HttpReply stream = ask(server, post_form(picture_, {{"stream", "true"}, {"steps", "2"}}));
  EXPECT_EQ(stream.fields.at("x-accel-buffering"), "no");
}

TEST_F(BesiegedServer, ListensToPagesOfItsOwnOnly) {
  const std::string body = R"({"image": ")" + base64(picture_) + R"(", "steps": 1})";
  const auto posted = [&](const RunningServer& server, const std::string& host, const std::string& fields = "") {
    return ask(server, "POST /v1/captions HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/json\r\n" +
                           fields + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  };
  const RunningServer server(with_model({"--allow-host", "captions.example"}));
  const std::string own = "127.0.0.1:" + std::to_string(server.port());
  EXPECT_EQ(posted(server, own, "Origin: http://" + own + "\r\n").status, 200);
  EXPECT_EQ(posted(server, own, "Origin: https://captions.example\r\n").status, 200);
  EXPECT_EQ(posted(server, "captions.example", "Origin: https://captions.example\r\n").status, 200);
  for (const std::string& host : {std::string("evil.example"), "evil.example:" + std::to_string(server.port())}) {
    EXPECT_EQ(code_of(posted(server, host)), "forbidden");
    EXPECT_EQ(ask(server, "GET /v1/models HTTP/1.1\r\nHost: " + host + "\r\n\r\n").status, 403);
    EXPECT_EQ(ask(server, "GET http://" + host + "/v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 403);
  }
  EXPECT_EQ(code_of(posted(server, own, "Origin: http://evil.example\r\n")), "forbidden");
  EXPECT_EQ(code_of(posted(server, own, "Origin: null\r\n")), "forbidden");
  const RunningServer with_token(with_model({"--token", "secret"}));
  EXPECT_EQ(
      posted(with_token, "evil.example", "Origin: http://other.example\r\nAuthorization: Bearer secret\r\n").status,
      200);
}

TEST_F(BesiegedServer, StreamsThatRunOutOfTimeSaySo) {
  RunningServer server(with_model({"--max-request-s", "1"}));
  HttpClient client(server.port());
  const HttpReply reply = client.exchange(long_stream_);
  ASSERT_EQ(reply.status, 200) << reply.body;
  const std::size_t at = reply.body.find("event: error\ndata: ");
  ASSERT_NE(at, std::string::npos) << reply.body.substr(0, 1000);
  const json error = json::parse(reply.body.substr(at + 19))["error"];
  EXPECT_EQ(error["code"], "busy");
  EXPECT_EQ(error["request_id"], reply.fields.at("x-request-id"));
  EXPECT_EQ(client.exchange(http_get("/healthz")).status, 200);  // the stream has its end
  server.terminate();
  EXPECT_EQ(server.wait(), 0);
  EXPECT_THAT(server.log(), HasSubstr(reply.fields.at("x-request-id") + " POST /v1/captions 503 "));
}

TEST_F(BesiegedServer, ALogThatNobodyReadsStopsNothing) {
  const RunningServer server(with_model(), {.reads_log = false});
  HttpClient client(server.port());
  const std::string request = http_get("/" + std::string(100, 'x'));
  std::string hundred;
  for (int i = 0; i < 100; ++i) hundred += request;
  // More lines than a pipe and the server keep.
  for (int i = 0; i < 100; ++i) {
    client.send(hundred);
    for (int each = 0; each < 100; ++each) ASSERT_EQ(client.read().status, 404);
  }
  EXPECT_GT(metric(server, "capdiff_log_lines_dropped_total"), 0.0);
  EXPECT_EQ(ask(server, post_form(picture_)).status, 200);
}

TEST_F(BesiegedServer, ALogThatIsClosedEndsNothing) {
  RunningServer server(with_model(), {.closes_log = true});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask(server, http_get("/healthz")).status, 200);
  server.terminate();
  EXPECT_EQ(server.wait(), 0);
}

}  // namespace
}  // namespace capdiff::test
