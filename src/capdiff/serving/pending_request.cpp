#include "capdiff/serving/pending_request.h"

#include <spdlog/spdlog.h>

#include "capdiff/serving/answers.h"

namespace capdiff {
namespace {

using Json = nlohmann::ordered_json;

/// What a client is told; our own mistakes are logged. `param` is the option that a captioner objects to.
RequestError told_error(const std::exception_ptr& error, const std::string& id, const std::string& param) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& exception) {
    RequestError told = as_request_error(exception);
    if (told.refusal() == Refusal::internal) spdlog::error("{}: {}", id, exception.what());
    if (told.refusal() != Refusal::invalid_option || !told.param().empty()) return told;
    return {told.refusal(), param, told.what(), told.where()};
  }
}

std::string event(const char* name, const Json& data) {
  return fmt::format("event: {}\ndata: {}\n\n", name, dump(data));
}

/// An error in the stream of one interface, and in that of the other.
std::string caption_stream_error(const RequestError& error, const std::string& id) {
  return event("error", error_json(error, id));
}

std::string chat_stream_error(const RequestError& error, const std::string& id) {
  return "data: " + dump(error_json(error, id)) + "\n\n";
}

std::int64_t unix_time() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

double PendingRequest::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void PendingRequest::begin(CaptionRequest asked) {
  asked_ = std::move(asked);
  missing_ = asked_.pictures.size();
  results_.resize(missing_);
}

std::optional<std::pair<std::size_t, Allowance::Ticket>> PendingRequest::take_picture() {
  const std::size_t picture = taken_++;
  if (picture >= places_.size()) return std::nullopt;
  return std::pair(picture, std::move(places_[picture]));
}

void PendingRequest::decoded() {
  if (++decoded_ < places_.size()) return;
  asked_.pictures.clear();
  http_.body.reset();
}

Json PendingRequest::answer_to_one(Json result) const {
  Json answer{{"id", http_.id}, {"model", "default"}};
  answer.update(result);
  return answer;
}

void PendingRequest::send_event(const std::string& text) {
  if (!streaming_) {
    streaming_ = true;
    // The second field keeps proxies from waiting for more before they pass an event on.
    exchange_->begin_stream(
        {.content_type = "text/event-stream", .headers = {{"Cache-Control", "no-store"}, {"X-Accel-Buffering", "no"}}},
        chat_ ? chat_stream_error : caption_stream_error);
  }
  exchange_->send(text);
}

void PendingRequest::watched(const WatchedCall& call) {
  if ((call.call + 1) % static_cast<std::size_t>(asked_.every) == 0 || call.call + 1 == call.calls)
    send_event(event("step", step_json(call)));
}

void PendingRequest::answer_alone(const Caption& caption) {
  if (chat_) {
    if (!asked_.stream) return exchange_->respond({.body = dump(chat_json(caption, http_.id, unix_time()))});
    for (const Json& chunk : chat_chunks(caption, http_.id, unix_time(), asked_.stream_usage))
      send_event("data: " + dump(chunk) + "\n\n");
    send_event("data: [DONE]\n\n");
    return exchange_->finish();
  }
  const Json answer = answer_to_one(caption_json(caption, asked_.options, seconds()));
  if (!asked_.stream) return exchange_->respond({.body = dump(answer)});
  send_event(event("caption", answer));
  exchange_->finish();
}

void PendingRequest::set_result(std::size_t picture, Json result) {
  const std::lock_guard lock(mutex_);
  results_[picture] = std::move(result);
  if (--missing_ == 0) exchange_->respond({.body = dump(answer_to_one({{"results", std::move(results_)}}))});
}

RequestError PendingRequest::told(const std::exception_ptr& error) const {
  return told_error(error, http_.id, asked_.sentence ? "template" : "");
}

void PendingRequest::done(std::size_t picture, const Caption& caption) {
  if (!asked_.several) return answer_alone(caption);
  set_result(picture, caption_json(caption, asked_.options, seconds()));
}

void PendingRequest::failed(std::size_t picture, std::exception_ptr error) {
  if (!asked_.several) return refuse_all(error);
  set_result(picture, error_json(told(error), http_.id));
}

void PendingRequest::refuse_all(std::exception_ptr error) {
  const RequestError refused = told(error);
  if (!streaming_) return exchange_->respond(error_response(refused, http_.id));
  send_event((chat_ ? chat_stream_error : caption_stream_error)(refused, http_.id));
  exchange_->finish();
}

}  // namespace capdiff
