#include "capdiff/serving/allowed_hosts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace capdiff::test {
namespace {

using ::testing::HasSubstr;

HttpRequest asked(const std::string& host, const std::string& method = "GET", const std::string& origin = "") {
  HttpRequest request;
  request.method = method;
  request.host = host;
  request.origin = origin;
  return request;
}

TEST(AllowedHosts, KnowThisMachine) {
  for (const char* host : {"localhost", "app.localhost", "127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"})
    EXPECT_TRUE(is_loopback_host(host)) << host;
  for (const char* host : {"", "0.0.0.0", "127.evil.example", "127.0.0.1.evil.example", "localhost.evil.example",
                           "notlocalhost", "::2", "::ffff:10.0.0.1", "128.0.0.1", "2130706433"})
    EXPECT_FALSE(is_loopback_host(host)) << host;
}

TEST(AllowedHosts, AllowEverythingByDefault) {
  EXPECT_FALSE(AllowedHosts().objection(asked("evil.example", "POST", "http://other.example")));
}

TEST(AllowedHosts, AllowLoopbackAndTheirNames) {
  const AllowedHosts hosts({"Captions.example:443", "10.0.0.5"});
  for (const char* host : {"localhost", "LocalHost:8080", "localhost.:8080", "127.0.0.1:8080", "[::1]:8080", "[::1]",
                           "captions.example", "captions.example:8443", "10.0.0.5:80", ""})
    EXPECT_FALSE(hosts.objection(asked(host))) << host;
  for (const char* host :
       {"evil.example", "evil.example:8080", "localhost@evil.example", "127.0.0.1.evil.example:80",
        "x.captions.example", ":80", "[", "[]", "[::1", "[::1]evil.example", "[evil.example]:80", "localhost:80:80"})
    EXPECT_TRUE(hosts.objection(asked(host))) << host;
  EXPECT_THAT(hosts.objection(asked("evil.example")).value_or(""), HasSubstr("\"evil.example\""));
}

TEST(AllowedHosts, RefuseWhatPagesOfOthersSend) {
  const AllowedHosts hosts({"captions.example"});
  const auto refused = [&](const std::string& origin, const std::string& method = "POST") {
    return hosts.objection(asked("127.0.0.1:8080", method, origin)).has_value();
  };
  EXPECT_FALSE(refused(""));
  EXPECT_FALSE(refused("http://127.0.0.1:8080"));
  EXPECT_FALSE(refused("https://captions.example"));
  EXPECT_FALSE(hosts.objection(asked("LOCALHOST:80", "POST", "http://localhost:80")));
  for (const char* origin : {"http://evil.example", "null", "http://127.0.0.1:3000", "http://localhost:8080",
                             "https://captions.example.evil.example", "http://", "://", "127.0.0.1:8080"})
    EXPECT_TRUE(refused(origin)) << origin;
  // What it may not post it may still look at; a browser shows no answer to it.
  EXPECT_FALSE(refused("http://evil.example", "GET"));
}

}  // namespace
}  // namespace capdiff::test
