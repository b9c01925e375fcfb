#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/capdiff/command.h"
#include "apps/capdiff/inputs.h"
#include "apps/capdiff/model_options.h"
#include "capdiff/backends/processor.h"
#include "capdiff/base/error.h"
#include "capdiff/captioners/diffusion_captioner.h"
#include "capdiff/evaluation/speed.h"

namespace capdiff::app {
namespace {

struct BenchOptions {
  ModelOptions model;
  std::vector<std::string> paths;
  std::optional<std::int64_t> images, length;
  std::vector<std::int64_t> latency;
  int repeat = 5, warmup = 1;
  bool roofline = false, all_dtypes = false, json = false;
};

constexpr const char* kBenchDtypes[] = {"f32", "bf16", "int8"};

/// The pictures of one run: made ones, or files, which are then decoded in every run.
struct BenchPictures {
  std::vector<Image> made;
  std::vector<Input> files;

  std::size_t count() const { return made.size() + files.size(); }
};

BenchPictures bench_pictures(const BenchOptions& options) {
  BenchPictures pictures;
  const std::vector<Input> inputs = expand_inputs(options.paths, /*recursive=*/false).pictures;
  if (std::ranges::find(inputs, "-", &Input::name) != inputs.end())
    fail(ErrorCode::usage, "bench reads its pictures again and again, which standard input cannot give");
  const auto count = static_cast<std::size_t>(
      options.images.value_or(inputs.empty() ? options.model.batch : static_cast<std::int64_t>(inputs.size())));
  for (std::size_t i = 0; i < count; ++i) {
    if (inputs.empty())
      pictures.made.push_back(made_picture(i));
    else
      pictures.files.push_back(inputs[i % inputs.size()]);
  }
  return pictures;
}

/// Makes captions the work of `length` positions, or of exactly so many pieces.
void force_length(Captioner& captioner, GenerationOptions& generation, std::int64_t length) {
  if (generation.left_to_right)
    generation.left_to_right->min_length = generation.left_to_right->max_length = length;
  else
    dynamic_cast<DiffusionCaptioner&>(captioner).set_positions(length);
}

/// Positions of a caption that denoises; pieces of one that writes, where their number is given.
std::optional<std::int64_t> length_in_force(const LoadedModel& model) {
  if (const auto& how = model.generation.left_to_right)
    return how->min_length == how->max_length ? std::optional(how->max_length) : std::nullopt;
  return dynamic_cast<const DiffusionCaptioner&>(*model.captioner).positions();
}

/// Captions all pictures once.
void caption_pictures(Captioner& captioner, Backend& backend, const BenchPictures& pictures, std::int64_t batch,
                      const GenerationOptions& generation) {
  const std::size_t count = pictures.count();
  for (std::size_t begin = 0; begin < count; begin += static_cast<std::size_t>(batch)) {
    const std::size_t size = std::min(count - begin, static_cast<std::size_t>(batch));
    if (pictures.files.empty()) {
      captioner.caption(std::span(pictures.made).subspan(begin, size), generation);
      continue;
    }
    backend.enter(CaptionStage::decode);
    std::vector<Image> images;
    for (std::size_t i = begin; i < begin + size; ++i) images.push_back(read_input(pictures.files[i]));
    captioner.caption(images, generation);
  }
}

class Bench {
 public:
  explicit Bench(const BenchOptions& options) : options_(options), pictures_(bench_pictures(options)) {}

  SpeedReport run() {
    LoadedModel model = load(options_.model.dtype);
    SpeedReport report = described(model);
    if (!options_.latency.empty()) {
      time_lengths(model, report);
    } else {
      time_dtypes(model, report);
      report.measured = metered(model);
      if (options_.roofline) report.ceilings = measure_ceilings(*model.backend, report.measured);
    }
    return report;
  }

 private:
  LoadedModel load(const std::string& dtype) const {
    ModelOptions options = options_.model;
    options.dtype = dtype;
    LoadedModel model = load_model(options);
    load_clip(options, model);
    if (options_.length) force_length(*model.captioner, model.generation, *options_.length);
    return model;
  }

  void caption(const LoadedModel& model) const {
    caption_pictures(*model.captioner, *model.backend, pictures_, options_.model.batch, model.generation);
  }

  SpeedReport described(const LoadedModel& model) const {
    const GenerationOptions& generation = model.generation;
    SpeedReport report{.model = model.path.string(),
                       .model_type = ModelFolder::open(model.path).config().get_string("model_type"),
                       .backend = std::string(model.backend->name()),
                       .library_version = model.backend->library_version(),
                       .dtype = std::string(compute_name(model.backend->options().compute)),
                       .threads = model.backend->options().threads,
                       .batch = std::min(options_.model.batch, static_cast<std::int64_t>(pictures_.count())),
                       .images = static_cast<std::int64_t>(pictures_.count()),
                       .candidates = generation.candidates};
    if (options_.latency.empty()) report.length = length_in_force(model);
    if (generation.left_to_right) {
      if (!samples(*generation.left_to_right, generation.candidates)) report.beams = generation.left_to_right->beams;
    } else {
      report.steps = generation.steps;
      report.guidance = generation.guidance;
    }
    return report;
  }

  /// Times the model and, where asked for, the same in every other type that this processor has.
  void time_dtypes(const LoadedModel& model, SpeedReport& report) const {
    std::vector<LoadedModel> others;
    for (const char* dtype : kBenchDtypes) {
      if (!options_.all_dtypes || dtype == report.dtype) continue;
      LoadedModel other = load(dtype);
      if (compute_name(other.backend->options().compute) == dtype) others.push_back(std::move(other));
    }
    std::vector<std::function<void()>> runs{[&] { caption(model); }};
    for (const LoadedModel& other : others) runs.push_back([&] { caption(other); });
    std::vector<RunTimes> times = time_in_turn(runs, options_.warmup, options_.repeat);
    report.peak_memory = peak_memory();
    report.times = times[0];
    if (!options_.all_dtypes) return;
    report.dtypes.emplace_back(report.dtype, times[0]);
    for (std::size_t i = 0; i < others.size(); ++i)
      report.dtypes.emplace_back(compute_name(others[i].backend->options().compute), times[i + 1]);
  }

  void time_lengths(LoadedModel& model, SpeedReport& report) const {
    std::vector<std::function<void()>> runs;
    for (const std::int64_t length : options_.latency)
      runs.push_back([this, &model, length] {
        force_length(*model.captioner, model.generation, length);
        caption(model);
      });
    std::vector<RunTimes> times = time_in_turn(runs, options_.warmup, options_.repeat);
    report.peak_memory = peak_memory();
    for (std::size_t i = 0; i < runs.size(); ++i) report.latency.emplace_back(options_.latency[i], std::move(times[i]));
  }

  /// What happens inside a run: that of median length. A second copy of the model makes them, so that the books cost
  /// the first one's times nothing.
  Measurements metered(const LoadedModel& model) const {
    MeteredBackend meter(*model.backend);
    const auto captioner = load_captioner(ModelFolder::open(model.path), meter);
    captioner->select_with(model.clip);
    GenerationOptions generation = model.generation;
    if (options_.length) force_length(*captioner, generation, *options_.length);
    std::vector<Measurements> runs;
    for (int i = -1; i < options_.repeat; ++i) {  // the first one warms up
      caption_pictures(*captioner, meter, pictures_, options_.model.batch, generation);
      Measurements run = meter.take();
      if (i >= 0) runs.push_back(std::move(run));
    }
    std::ranges::sort(runs, {}, &Measurements::seconds);
    return runs[(runs.size() - 1) / 2];
  }

  const BenchOptions& options_;
  BenchPictures pictures_;
};

int bench(const BenchOptions& options) {
  const SpeedReport report = Bench(options).run();
  fmt::print("{}", options.json ? to_json(report).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"
                                : to_table(report));
  return kDone;
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("bench", "Measure how fast a model captions, and where the time goes");
  auto options = std::make_shared<BenchOptions>();
  command->add_option("PATH", options->paths, "Pictures to decode and caption (default: made-up ones, in memory)");
  add_model_options(*command, options->model);
  command->add_option("--clip", options->model.clip, "The CLIP that --select clip chooses with (default: models/clip)")
      ->type_name("DIR");
  const CLI::Range lengths(std::int64_t{1}, std::int64_t{4096});
  CLI::Option* length =
      command->add_option("--length", options->length,
                          "Work of captions of N positions, words and the tokens around them; left to right: N pieces");
  length->check(lengths);
  command->add_option("--images", options->images, "Pictures of a run (default: one batch, or the given ones)")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{100'000}));
  command->add_option("--repeat", options->repeat, "Runs that are timed")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  command->add_option("--warmup", options->warmup, "Runs before that")
      ->check(CLI::Range(0, 10'000))
      ->capture_default_str();
  CLI::Option* latency = command->add_option("--latency", options->latency, "Time these lengths in turn: 8,16,24")
                             ->type_name("N,…")
                             ->delimiter(',')
                             ->check(lengths)
                             ->excludes(length);
  command->add_flag("--roofline", options->roofline, "Compare each stage with what its products and memory allow")
      ->excludes(latency);
  command->add_flag("--all-dtypes", options->all_dtypes, "Say which type of arithmetic is the fastest here")
      ->excludes(latency);
  command->add_flag("--json", options->json, "Print one JSON object");
  add_configuration(*command, action, [options] { return bench(*options); });
}

}  // namespace capdiff::app
