#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "capdiff/captioners/captioner.h"
#include "capdiff/serving/allowed_hosts.h"
#include "capdiff/serving/batcher.h"
#include "capdiff/serving/caption_request.h"
#include "capdiff/serving/http.h"
#include "capdiff/serving/metrics.h"
#include "capdiff/serving/worker_pool.h"

namespace capdiff {

class PendingRequest;

struct ApiOptions {
  std::string token;  ///< that /v1 and /metrics ask for; empty for none
  AllowedHosts hosts;
  RequestLimits request;
  std::size_t max_body_bytes = std::size_t{20} << 20;  ///< as told to clients; the HTTP server keeps to it
  std::size_t max_queue = 128;                         ///< pictures that wait
  std::uint64_t max_pixels = 100'000'000;              ///< of a picture
  std::size_t decoders = 2;                            ///< threads that read requests and decode pictures
  BatcherOptions batch;
};

/// What the API tells of the rest of the process; both are called from several threads.
struct ApiSurroundings {
  std::function<ServerLoad()> load;
  std::function<std::uint64_t()> dropped_log_lines;
};

/// The routes of the server: the page, what machines ask about its health, and captions.
class Api final : public HttpHandler {
 public:
  Api(Captioner& captioner, ServedModel model, const ApiOptions& options, ApiSurroundings surroundings);
  ~Api() override;

  std::optional<HttpResponse> refusal(const HttpRequest& head) override;
  void handle(HttpRequest request, std::shared_ptr<HttpExchange> exchange) override;
  void finished(const HttpRecord& record) override;
  void drain(std::size_t accepted) override;

 private:
  struct Route;

  static const Route* find_route(std::string_view target);
  bool authorized(const std::string& field) const;
  /// A place in the queue or, where it is full of pictures that somebody waits for, null.
  Allowance::Ticket take_place();
  bool full();
  HttpResponse queue_full(const std::string& id) const;
  HttpResponse health(const HttpRequest& request);
  HttpResponse readiness(const HttpRequest& request);
  HttpResponse metrics(const HttpRequest& request);
  HttpResponse models(const HttpRequest& request);
  HttpResponse model(const HttpRequest& request);
  HttpResponse page(const HttpRequest& request);
  /// Reads a request and hands its pictures on; on a thread of the pool.
  void caption(const std::shared_ptr<PendingRequest>& pending);
  /// Decodes the next picture of a request and stands in line for the one after it, so that a request with many is in
  /// nobody's way.
  void decode_next(const std::shared_ptr<PendingRequest>& pending);
  void caption_picture(const std::shared_ptr<PendingRequest>& pending, std::size_t picture, Allowance::Ticket place);
  void post(const std::shared_ptr<PendingRequest>& pending, void (Api::*task)(const std::shared_ptr<PendingRequest>&));

  const ServedModel model_;
  const ApiOptions options_;
  const ApiSurroundings surroundings_;
  ServingMetrics metrics_;
  Allowance places_;
  std::atomic<bool> draining_{false};
  Batcher batcher_;
  WorkerPool decoders_;  // last: its tasks submit to the batcher
};

}  // namespace capdiff
