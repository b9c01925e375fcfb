#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <optional>
#include <thread>

#include "apps/capdiff/command.h"
#include "apps/capdiff/model_options.h"
#include "capdiff/base/background_stderr.h"
#include "capdiff/base/error.h"
#include "capdiff/base/progress.h"
#include "capdiff/formats/model_folder.h"
#include "capdiff/serving/allowed_hosts.h"
#include "capdiff/serving/api.h"
#include "capdiff/serving/http_server.h"
#include "capdiff/serving/open_files.h"

namespace capdiff::app {
namespace {

struct ServeOptions {
  ModelOptions model;
  std::string host = "127.0.0.1";
  std::uint16_t port = 8080;
  std::string token;
  std::vector<std::string> allowed_hosts;
  std::int64_t max_wait_ms = 5;
  std::size_t max_queue = 128, max_body_mb = 20, max_header_kb = 16, max_connections = 256;
  std::uint64_t max_megapixels = 100;
  RequestLimits request;
  std::int64_t timeout = 30, max_request = 300;
};

HttpServerOptions server_options(const ServeOptions& options) {
  HttpServerOptions server;
  server.host = options.host;
  server.port = options.port;
  server.max_connections = connections_that_fit(options.max_connections);
  if (server.max_connections < options.max_connections)
    spdlog::warn("--max-connections {}: the limit of open files (ulimit -n) leaves room for {}",
                 options.max_connections, server.max_connections);
  server.max_header_bytes = options.max_header_kb << 10;
  server.max_body_bytes = options.max_body_mb << 20;
  server.max_bodies_bytes = std::max(server.max_bodies_bytes, server.max_body_bytes);
  server.timeout = std::chrono::seconds(options.timeout);
  server.max_request = std::chrono::seconds(options.max_request);
  return server;
}

std::string token_of(const ServeOptions& options) {
  if (!options.token.empty()) return options.token;
  const char* token = std::getenv("CAPDIFF_TOKEN");
  return token ? token : "";
}

/// Whom a server listens to that asks for no token. Beyond this machine its names are not known here.
AllowedHosts allowed_hosts(const ServeOptions& options) {
  if (!token_of(options).empty() || (options.allowed_hosts.empty() && !is_loopback_host(options.host))) return {};
  std::vector<std::string> names = options.allowed_hosts;
  names.push_back(options.host);
  return AllowedHosts(names);
}

ApiOptions api_options(const ServeOptions& options) {
  ApiOptions api;
  api.token = token_of(options);
  api.request = options.request;
  api.hosts = allowed_hosts(options);
  api.max_body_bytes = options.max_body_mb << 20;
  api.max_queue = options.max_queue;
  api.max_pixels = options.max_megapixels * 1'000'000;
  const int threads =
      options.model.threads > 0 ? options.model.threads : static_cast<int>(std::thread::hardware_concurrency());
  api.decoders = static_cast<std::size_t>(std::clamp(threads, 1, 4));
  api.batch.max_rows = static_cast<std::size_t>(options.model.batch);
  api.batch.max_wait = std::chrono::milliseconds(options.max_wait_ms);
  return api;
}

/// A token comes in a field of a header, whose ends are trimmed.
void check_token(const std::string& token) {
  const bool printable = std::ranges::all_of(token, [](char c) { return c >= ' ' && c <= '~'; });
  if (!printable || token.starts_with(' ') || token.ends_with(' '))
    fail(ErrorCode::usage,
         "--token (or $CAPDIFF_TOKEN): clients can send printable ASCII characters only, without spaces around them");
}

/// What is drawn where a request says nothing must be something that a request may say.
void check_defaults(const GenerationOptions& drawn, const RequestLimits& limits) {
  constexpr std::uint64_t kMaxSeed = std::uint64_t{1} << 53;
  if (drawn.candidates > limits.max_candidates)
    fail(ErrorCode::usage, "{} candidates by default are more than --max-candidates {}", drawn.candidates,
         limits.max_candidates);
  if (!drawn.left_to_right && drawn.steps > limits.max_steps)
    fail(ErrorCode::usage, "{} steps by default are more than --max-steps {}", drawn.steps, limits.max_steps);
  if (drawn.seed > kMaxSeed)
    fail(ErrorCode::usage, "--seed {}: programs that read JSON know numbers up to {} exactly", drawn.seed, kMaxSeed);
}

int serve(const ServeOptions& options) {
  if (options.request.max_images > options.max_queue)
    fail(ErrorCode::usage, "--max-images {}: a request's pictures must fit the queue (--max-queue {})",
         options.request.max_images, options.max_queue);
  const ApiOptions api_choice = api_options(options);
  check_token(api_choice.token);
  // Bound first, so that a port in use is told before the model is loaded.
  HttpServer server(server_options(options));
  if (api_choice.token.empty() && !is_loopback_host(options.host))
    spdlog::warn("{} can be reached by others, and there is no --token: whoever reaches it may use it", options.host);
  LoadedModel model = load_model(options.model);
  check_defaults(model.generation, options.request);
  load_clip(options.model, model, true);
  const ServedModel served{.method = ModelFolder::open(model.path).config().get_string("model_type"),
                           .max_words = model.captioner->max_words(),
                           .clip = model.clip != nullptr,
                           .created = std::time(nullptr),
                           .generation = model.generation};
  // From here on nobody who does not read the log, or has closed it, may hold up or end the server.
  std::signal(SIGPIPE, SIG_IGN);
  std::optional<BackgroundStderr> log(std::in_place);
  Api api(*model.captioner, served, api_choice,
          {.load = [&server] { return server.load(); }, .dropped_log_lines = [&log] { return log->dropped(); }});
  const bool v6 = options.host.find(':') != std::string::npos;
  write_to_stderr(fmt::format("serving {} on http://{}:{}/\n", model.path.string(),
                              v6 ? "[" + options.host + "]" : options.host, server.port()));
  const std::size_t lost = server.run(api);
  if (lost == 0) return kDone;
  write_to_stderr(fmt::format("ended by a second signal: {} accepted {} not answered\n", lost,
                              lost == 1 ? "request was" : "requests were"));
  log.reset();
  std::_Exit(kFailed);  // at once: threads may be in the middle of a picture
}

}  // namespace

void add_serve(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("serve", "Serve captions over HTTP, with a web page");
  auto options = std::make_shared<ServeOptions>();
  add_model_options(*command, options->model);
  command->add_option("--clip", options->model.clip, "The CLIP that clients may choose with (default: models/clip)")
      ->type_name("DIR");
  const auto number = [&](const char* name, auto& value, auto min, auto max, const char* description) {
    using Value = std::remove_reference_t<decltype(value)>;
    command->add_option(name, value, description)
        ->check(CLI::Range(static_cast<Value>(min), static_cast<Value>(max)))
        ->capture_default_str();
  };
  command->add_option("--host", options->host, "IP address to listen on; 0.0.0.0 is every one of this machine")
      ->type_name("ADDRESS")
      ->capture_default_str();
  number("--port", options->port, 0, 65535, "TCP port; 0 takes one that is free");
  command->add_option("--token", options->token, "Bearer token that clients must send (default: $CAPDIFF_TOKEN)");
  command
      ->add_option("--allow-host", options->allowed_hosts,
                   "A further name by which browsers may ask a server without a token, such as a proxy's")
      ->type_name("NAME")
      ->allow_extra_args(false);
  number("--max-wait-ms", options->max_wait_ms, 0, 10'000, "How long a picture waits for others to share a batch");
  number("--max-queue", options->max_queue, 1, 100'000, "Pictures that may wait; more are refused with 429");
  number("--max-body-mb", options->max_body_mb, 1, 1024, "Size of a request, in MiB");
  number("--max-header-kb", options->max_header_kb, 1, 48, "Size of a request's header, in KiB");
  number("--max-images", options->request.max_images, 1, 4096, "Pictures of one request");
  number("--max-steps", options->request.max_steps, 1, 1'000'000, "Denoising steps that a request may ask for");
  number("--max-candidates", options->request.max_candidates, 1, 1024, "Candidates that a request may ask for");
  number("--max-megapixels", options->max_megapixels, 1, 1000, "Size of a picture");
  number("--timeout-s", options->timeout, 1, 3600, "Seconds for a client to send a header, and to take an answer");
  number("--max-request-s", options->max_request, 1, 86'400, "Seconds for a request to be answered");
  number("--max-connections", options->max_connections, 1, 100'000, "Clients at the same time");
  add_configuration(*command, action, [options] { return serve(*options); });
}

}  // namespace capdiff::app
