#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "capdiff/captioners/captioner.h"
#include "capdiff/serving/allowance.h"
#include "capdiff/serving/api_error.h"
#include "capdiff/serving/caption_request.h"
#include "capdiff/serving/http.h"

namespace capdiff {

/// A request for captions on its way: what it asks for, the captions that are there, and how they are answered. It
/// answers when the last picture has its caption or its error.
class PendingRequest {
 public:
  PendingRequest(HttpRequest request, std::shared_ptr<HttpExchange> exchange, Allowance::Ticket place, bool chat)
      : http_(std::move(request)), exchange_(std::move(exchange)), chat_(chat) {
    add_place(std::move(place));
  }

  const HttpRequest& http() const { return http_; }
  bool is_chat() const { return chat_; }
  bool abandoned() const { return exchange_->abandoned(); }
  const CaptionRequest& asked() const { return asked_; }

  /// What `parse_caption_request` has made of it. Its body stays until the pictures are decoded.
  void begin(CaptionRequest asked);
  /// Adds a place in the queue; each picture needs one, and the first comes with the request.
  void add_place(Allowance::Ticket place) { places_.push_back(std::move(place)); }
  /// The next picture to decode with its place, or nothing when all are taken. From several threads.
  std::optional<std::pair<std::size_t, Allowance::Ticket>> take_picture();
  /// One of the pictures is decoded; after the last one the bytes that were sent are let go.
  void decoded();
  /// Shows a call of the network to a client that watches. Throws nothing.
  void watched(const WatchedCall& call);
  void done(std::size_t picture, const Caption& caption);
  void failed(std::size_t picture, std::exception_ptr error);
  /// Answers with an error where the request as a whole has one.
  void refuse_all(std::exception_ptr error);

 private:
  nlohmann::ordered_json answer_to_one(nlohmann::ordered_json result) const;
  void set_result(std::size_t picture, nlohmann::ordered_json result);
  RequestError told(const std::exception_ptr& error) const;
  void answer_alone(const Caption& caption);
  void send_event(const std::string& text);
  double seconds() const;

  HttpRequest http_;
  std::shared_ptr<HttpExchange> exchange_;
  const bool chat_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  CaptionRequest asked_;
  std::vector<Allowance::Ticket> places_;
  std::atomic<std::size_t> taken_{0}, decoded_{0};  // pictures
  bool streaming_ = false;                          // a stream has begun; one picture, so one thread at a time
  std::mutex mutex_;
  std::vector<nlohmann::ordered_json> results_;
  std::size_t missing_ = 0;
};

}  // namespace capdiff
