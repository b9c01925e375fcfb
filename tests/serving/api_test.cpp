#include "capdiff/serving/api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

namespace capdiff::test {
namespace {

using namespace std::chrono_literals;

/// Never asked: what these tests send is no picture, or is given up before.
class IdleCaptioner final : public Captioner {
 public:
  Caption fill(const Image&, const CaptionTemplate&, const GenerationOptions&) override { return {}; }
  const GenerationOptions& defaults() const override { return defaults_; }
  std::int64_t max_words() const override { return 8; }

 protected:
  std::vector<Caption> draw(std::span<const Image> images, const GenerationOptions&) override {
    return std::vector<Caption>(images.size());
  }

 private:
  GenerationOptions defaults_;
};

/// Collects answers in the order in which they come.
class AnswerLog {
 public:
  void add(std::string name, HttpResponse response) {
    const std::lock_guard lock(mutex_);
    order_ += name + " ";
    last_ = std::move(response);
  }
  std::string order() const {
    const std::lock_guard lock(mutex_);
    return order_;
  }
  HttpResponse last() const {
    const std::lock_guard lock(mutex_);
    return last_;
  }

 private:
  mutable std::mutex mutex_;
  std::string order_;
  HttpResponse last_;
};

ApiSurroundings idle() {
  return {.load = [] { return ServerLoad{}; }, .dropped_log_lines = [] { return std::uint64_t{0}; }};
}

/// The exchange of a client that leaves when it has been looked at so many times.
class TestExchange final : public HttpExchange {
 public:
  TestExchange(AnswerLog& answers, std::string name, int looks)
      : answers_(answers), name_(std::move(name)), left_(looks) {}
  ~TestExchange() override { gone_.set_value(); }

  void respond(HttpResponse response) override { answers_.add(name_, std::move(response)); }
  void begin_stream(HttpResponse, StreamError) override {}
  void send(std::string) override {}
  void finish() override {}
  bool abandoned() const override {
    looked_at_ = true;
    while (held_) std::this_thread::sleep_for(1ms);
    return left_-- <= 0;
  }
  std::future<void> gone() { return gone_.get_future(); }

  std::atomic<bool> held_ = false;
  mutable std::atomic<bool> looked_at_ = false;

 private:
  AnswerLog& answers_;
  const std::string name_;
  mutable std::atomic<int> left_;
  std::promise<void> gone_;
};

constexpr int kPatient = 1'000'000;

class Apis : public testing::Test {
 protected:
  static HttpRequest captions(std::size_t pictures) {
    std::string body = R"({"images": [)";
    for (std::size_t i = 0; i < pictures; ++i) body += i == 0 ? R"("Zm9v")" : R"(, "Zm9v")";
    HttpRequest request = asking("POST", "/v1/captions");
    request.content_type = "application/json";
    request.body = std::make_shared<const std::string>(body + "]}");
    return request;
  }

  static HttpRequest asking(const std::string& method, const std::string& target) {
    HttpRequest request;
    request.id = "req-1";
    request.method = method;
    request.target = target;
    return request;
  }

  std::shared_ptr<TestExchange> exchange(const std::string& name, int looks = kPatient) {
    return std::make_shared<TestExchange>(answers_, name, looks);
  }

  HttpResponse answer(Api& api, const std::string& target) {
    api.handle(asking("GET", target), exchange(target));
    return answers_.last();
  }

  /// Occupies the only thread that decodes until `held_` of the returned one is lifted.
  std::shared_ptr<TestExchange> hold(Api& api) {
    auto holder = exchange("holder", 0);
    holder->held_ = true;
    api.handle(captions(1), holder);
    while (!holder->looked_at_) std::this_thread::sleep_for(1ms);
    return holder;
  }

  AnswerLog answers_;
  IdleCaptioner captioner_;
  const ServedModel model_{.method = "ladic", .max_words = 8, .clip = false, .generation = {}};
  const ApiOptions options_{.token = "", .hosts = {}, .request = {}, .max_queue = 16, .decoders = 1, .batch = {}};
};

TEST_F(Apis, DecodeNothingForClientsThatHaveLeft) {
  Api api(captioner_, model_, options_, idle());
  // It is looked at when its turn comes and before each picture, so its leaving is noticed sooner or later.
  for (int looks = 0; looks < 6; ++looks) {
    auto left = exchange("left", looks);
    std::future<void> gone = left->gone();
    api.handle(captions(3), std::move(left));
    gone.wait();
  }
  EXPECT_EQ(answers_.order(), "");
  auto stays = exchange("stays");
  std::future<void> gone = stays->gone();
  api.handle(captions(3), std::move(stays));
  gone.wait();
  EXPECT_EQ(answers_.order(), "stays ");
  EXPECT_EQ(nlohmann::json::parse(answers_.last().body)["results"].size(), 3u);
}

TEST_F(Apis, ManyPicturesDoNotHoldUpOthers) {
  Api api(captioner_, model_, options_, idle());
  const auto holder = hold(api);
  auto many = exchange("many"), few = exchange("few");
  std::future<void> many_gone = many->gone(), few_gone = few->gone();
  api.handle(captions(10), std::move(many));
  api.handle(captions(2), std::move(few));
  holder->held_ = false;
  many_gone.wait();
  few_gone.wait();
  EXPECT_EQ(answers_.order(), "few many ");
}

TEST_F(Apis, PlacesOfClientsThatHaveLeftAreFree) {
  ApiOptions options = options_;
  options.max_queue = 2;
  Api api(captioner_, model_, options, idle());
  const auto holder = hold(api);
  auto waits = exchange("waits");
  std::future<void> gone = waits->gone();
  api.handle(captions(1), waits);
  EXPECT_EQ(api.refusal(captions(1))->status, 429);
  EXPECT_EQ(answer(api, "/readyz").status, 503);
  waits.reset();
  holder->held_ = false;
  gone.wait();

  const auto again = hold(api);
  for (int i = 0; i < 5; ++i) {
    EXPECT_FALSE(api.refusal(captions(1)));
    api.handle(captions(1), exchange("left", 0));
    EXPECT_EQ(answer(api, "/readyz").status, 200);
  }
  again->held_ = false;
}

TEST_F(Apis, TellOfTheModel) {
  Api api(captioner_, model_, options_, idle());
  const auto list = nlohmann::json::parse(answer(api, "/v1/models").body);
  EXPECT_EQ(nlohmann::json::parse(answer(api, "/v1/models/default").body), list["data"][0]);
  EXPECT_EQ(list["data"][0]["capdiff"]["limits"]["max_steps"], 1000);
  for (const char* other : {"/v1/models/", "/v1/models/gpt", "/v1/models/default/x"}) {
    const HttpResponse refused = answer(api, other);
    EXPECT_EQ(refused.status, 404) << other;
    EXPECT_THAT(refused.body, ::testing::HasSubstr("\"not_found\"")) << other;
  }
}

}  // namespace
}  // namespace capdiff::test
