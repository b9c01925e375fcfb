#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "capdiff/captioners/captioner.h"
#include "capdiff/serving/allowance.h"
#include "capdiff/serving/caption_request.h"
#include "capdiff/serving/http.h"

namespace capdiff {

/// A request for captions on its way: what it asks for, the captions that are there, and how they are answered. It
/// answers when the last picture has its caption or its error.
class PendingRequest {
 public:
  PendingRequest(HttpRequest request, std::shared_ptr<HttpExchange> exchange, Allowance::Ticket place, bool chat)
      : http_(std::move(request)), exchange_(std::move(exchange)), place_(std::move(place)), chat_(chat) {}

  const HttpRequest& http() const { return http_; }
  bool is_chat() const { return chat_; }
  bool abandoned() const { return exchange_->abandoned(); }
  CaptionRequest& asked() { return asked_; }
  /// The place in the queue of its first picture.
  Allowance::Ticket take_place() { return std::move(place_); }

  /// What `parse_caption_request` has made of it. Its body stays until the pictures are decoded.
  void begin(CaptionRequest asked);
  /// Lets go of the bytes that were sent.
  void forget_body();
  /// Shows a call of the network to a client that watches. Throws nothing.
  void watched(const WatchedCall& call);
  void done(std::size_t picture, const Caption& caption);
  void failed(std::size_t picture, std::exception_ptr error);
  /// Answers with an error where the request as a whole has one.
  void refuse_all(std::exception_ptr error);

 private:
  nlohmann::ordered_json answer_to_one(nlohmann::ordered_json result) const;
  void set_result(std::size_t picture, nlohmann::ordered_json result);
  void answer_alone(const Caption& caption);
  void send_event(const std::string& text);
  double seconds() const;

  HttpRequest http_;
  std::shared_ptr<HttpExchange> exchange_;
  Allowance::Ticket place_;
  const bool chat_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  CaptionRequest asked_;
  bool streaming_ = false;  // a stream has begun; one picture, so one thread at a time
  std::mutex mutex_;
  std::vector<nlohmann::ordered_json> results_;
  std::size_t missing_ = 0;
};

}  // namespace capdiff
