#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "capdiff/serving/http.h"

namespace capdiff {

/// Bytes of a stream that wait for a client to read; one that falls further behind is given up.
inline constexpr std::size_t kMaxUnsent = std::size_t{4} << 20;

/// Why nobody waits for an answer any more.
enum class Cut {
  none,
  left,    ///< the client has closed the connection
  late,    ///< there was no end within the time for a request
  behind,  ///< the client reads too slowly
};

/// What a handler says to one request, as the connection's strand knows it.
struct Answer {
  explicit Answer(const boost::asio::any_io_executor& executor)
      : strand(executor), changed(executor), look_again(executor) {}

  boost::asio::any_io_executor strand;
  boost::asio::steady_timer changed;     ///< cancelled whenever something below changes
  boost::asio::steady_timer look_again;  ///< for whether the client has left
  std::optional<HttpResponse> whole, head;
  StreamError error = nullptr;     ///< how a stream tells one
  std::deque<std::string> unsent;  ///< of a stream
  std::size_t unsent_bytes = 0;
  bool complete = false;  ///< nothing is to come
  Cut cut = Cut::none;
  std::atomic<bool> abandoned{false};  ///< there is a cut

  void wake() { changed.cancel(); }
  void abandon(Cut why) {
    if (!abandoned) cut = why;
    abandoned = true;
    wake();
  }
};

/// The handler's side of an answer.
class BeastExchange final : public HttpExchange {
 public:
  explicit BeastExchange(std::shared_ptr<Answer> answer) : answer_(std::move(answer)) {}
  ~BeastExchange() override {
    tell([](Answer& answer) { answer.complete = true; });
  }

  void respond(HttpResponse response) override {
    tell([response = std::move(response)](Answer& answer) mutable {
      if (!answer.complete && !answer.head) answer.whole = std::move(response);
      answer.complete = true;
    });
  }
  void begin_stream(HttpResponse head, StreamError error) override {
    tell([head = std::move(head), error](Answer& answer) mutable {
      answer.error = error;
      if (!answer.complete) answer.head = std::move(head);
    });
  }
  void send(std::string bytes) override {
    tell([bytes = std::move(bytes)](Answer& answer) mutable {
      answer.unsent_bytes += bytes.size();
      answer.unsent.push_back(std::move(bytes));
      if (answer.unsent_bytes > kMaxUnsent) answer.abandon(Cut::behind);
    });
  }
  void finish() override {
    tell([](Answer& answer) { answer.complete = true; });
  }
  bool abandoned() const override { return answer_->abandoned; }

 private:
  template <class Change>
  void tell(Change change) {
    boost::asio::post(answer_->strand, [answer = answer_, change = std::move(change)]() mutable {
      change(*answer);
      answer->wake();
    });
  }

  std::shared_ptr<Answer> answer_;
};

}  // namespace capdiff
