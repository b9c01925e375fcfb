#include "apps/capdiff/model_options.h"

#include <vector>

#include "apps/capdiff/make_backend.h"
#include "capdiff/backends/processor.h"
#include "capdiff/base/error.h"
#include "capdiff/formats/model_places.h"

namespace capdiff::app {
namespace {

namespace fs = std::filesystem;

DType compute_type(const ModelOptions& options) {
  return compute_type_of(options.dtype == "auto" && options.device == "cuda" ? "bf16" : options.dtype);
}

/// A kind of model folder, and how people say which one.
struct FolderKind {
  const char* what;
  const char* name;  ///< of its folder in models/
  const char* option;
  const char* variable;
  ErrorCode missing;
};
constexpr FolderKind kModelFolder{"model", "default", "-m DIR", "CAPDIFF_MODEL", ErrorCode::not_found};
constexpr FolderKind kClipFolder{"CLIP", "clip", "--clip DIR", "CAPDIFF_CLIP", ErrorCode::usage};

ModelPlaces places_of(const FolderKind& kind) {
  std::error_code ignored;
  return {.name = kind.name, .variable = kind.variable, .binary = fs::read_symlink("/proc/self/exe", ignored)};
}

/// The folder that the option names; without it the one that is found in the places of its kind, or nothing.
std::optional<fs::path> seek_folder(const FolderKind& kind, const std::string& given) {
  return given.empty() ? places_of(kind).find() : given;
}

fs::path find_folder(const FolderKind& kind, const std::string& given) {
  if (const auto folder = seek_folder(kind, given)) return *folder;
  fail(kind.missing, "no {}: give one with {} or ${}; looked in {}", kind.what, kind.option, kind.variable,
       places_of(kind).listed());
}

void set(auto& setting, const auto& option) {
  if (option) setting = *option;
}

/// Throws `Error(usage)` for the first option that was given.
void refuse(std::initializer_list<std::pair<const char*, bool>> options, const char* reason) {
  for (const auto& [name, given] : options)
    if (given) fail(ErrorCode::usage, "{}: {}", name, reason);
}

void read_left_to_right(const ModelOptions& options, GenerationOptions& result) {
  refuse({{"--steps", options.steps.has_value()},
          {"--sampler", !options.sampler.empty()},
          {"--eta", options.eta.has_value()},
          {"--guidance", options.guidance.has_value()},
          {"--guidance-interval", !options.guidance_interval.empty()},
          {"--spacing", options.spacing.has_value()},
          {"--time-shift", options.time_shift.has_value()},
          {"--stop-after", options.stop_after.has_value()},
          {"--freeze-after", options.freeze_after.has_value()},
          {"--back-refine", options.refine},
          {"--back-time", options.back_time.has_value()},
          {"--back-share", options.back_share.has_value()},
          {"--min-confidence", options.min_confidence.has_value()},
          {"--clamp", !options.clamp.empty() || options.clamp_from || options.clamp_temperature}},
         "this model writes from left to right; it does not denoise");
  LeftToRight& how = *result.left_to_right;
  set(how.beams, options.beams);
  set(how.min_length, options.min_length);
  set(how.max_length, options.max_length);
  set(how.length_penalty, options.length_penalty);
  set(how.repetition_penalty, options.repetition_penalty);
  how.sample = how.sample || options.sample || options.top_p || options.temperature;
  set(how.top_p, options.top_p);
  set(how.temperature, options.temperature);
}

void read_denoising(const ModelOptions& options, GenerationOptions& result) {
  refuse({{"--beams", options.beams.has_value()},
          {"--min-length", options.min_length.has_value()},
          {"--max-length", options.max_length.has_value()},
          {"--length-penalty", options.length_penalty.has_value()},
          {"--repetition-penalty", options.repetition_penalty.has_value()},
          {"--sample", options.sample},
          {"--top-p", options.top_p.has_value()},
          {"--temperature", options.temperature.has_value()}},
         "this model denoises all words at once; it does not write from left to right");
  set(result.steps, options.steps);
  if (!options.sampler.empty()) result.sampler = sampler_kind(options.sampler);
  set(result.eta, options.eta);
  set(result.guidance, options.guidance);
  if (options.guidance_interval.size() == 2) {
    result.guidance_low = options.guidance_interval[0];
    result.guidance_high = options.guidance_interval[1];
  }
  set(result.spacing, options.spacing);
  set(result.time_shift, options.time_shift);
  set(result.settling.stop_after, options.stop_after);
  set(result.settling.freeze_after, options.freeze_after);
  BackAndRefine& back = result.back_and_refine;
  set(back.time, options.back_time);
  set(back.share, options.back_share);
  if (options.min_confidence) back.min_confidence = options.min_confidence;
  const bool asked = options.refine || options.back_time || options.back_share || options.min_confidence;
  result.refine = (result.refine || asked) && !options.no_refine;
  if (!options.clamp.empty()) result.clamping.kind = clamping_kind(options.clamp);
  set(result.clamping.from, options.clamp_from);
  set(result.clamping.temperature, options.clamp_temperature);
}

/// What is drawn: the model's settings, those of --fast or --best over them, single options over both.
GenerationOptions generation(const ModelOptions& options, GenerationOptions result) {
  if (options.fast) result = capdiff::fast(std::move(result));
  if (options.best) result = capdiff::best(std::move(result));
  if (result.left_to_right)
    read_left_to_right(options, result);
  else
    read_denoising(options, result);
  set(result.seed, options.seed);
  set(result.candidates, options.candidates);
  if (!options.select.empty()) result.select = selection(options.select);
  if (!options.utility.empty()) result.utility = utility(options.utility);
  if (options.beams && samples(*result.left_to_right, result.candidates))
    fail(ErrorCode::usage, "--beams: several candidates are drawn, and one with --sample; none is searched for");
  return result;
}

}  // namespace

void add_model_options(CLI::App& command, ModelOptions& options) {
  command.add_option("-m,--model", options.model, "Model folder")->type_name("DIR");
  command.add_option("--steps", options.steps, "Denoising steps (default: the model's, usually 30)")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000}));
  command.add_option("--sampler", options.sampler, "How noise becomes text")
      ->check(CLI::IsMember({"ddim", "renoise", "dpm-solver", "ancestral"}));
  command.add_option("--eta", options.eta, "Share of fresh noise in every DDIM step; 0 is deterministic")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--guidance", options.guidance, "Weight of classifier-free guidance; 0 switches it off")
      ->check(CLI::Range(-100.0, 100.0));
  command.add_option("--guidance-interval", options.guidance_interval, "Guide only while LOW <= t/T <= HIGH")
      ->type_name("LOW HIGH")
      ->expected(2)
      ->allow_extra_args(false)
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--spacing", options.spacing, "1: even steps; above 1 most at the end, below 1 most at the start")
      ->check(CLI::Range(0.1, 10.0));
  command
      .add_option("--time-shift", options.time_shift,
                  "Tell the network of more noise than there is, by this share of T")
      ->check(CLI::Range(0.0, 1.0));
  command
      .add_option("--stop-after", options.stop_after,
                  "A caption is done when its words are the same in so many steps in a row (0: at the end)")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1'000'000}));
  command
      .add_option("--freeze-after", options.freeze_after,
                  "A word stays when it is the same in so many steps in a row (0: never)")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1'000'000}));
  CLI::Option* refine = command.add_flag("--back-refine", options.refine,
                                         "Take the least certain words back half-way and find them anew");
  command.add_flag("--no-back-refine", options.no_refine, "Do not, even if the model's settings say so")
      ->excludes(refine);
  command.add_option("--back-time", options.back_time, "When Back&Refine acts, as a share of T")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--back-share", options.back_share, "Share of the words that it takes back")
      ->check(CLI::Range(0.0, 1.0));
  command
      .add_option("--min-confidence", options.min_confidence,
                  "Back&Refine takes back all words less probable than this, rather than a share")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--clamp", options.clamp, "Prefix-diffusion: draw every estimate to the nearest words")
      ->check(CLI::IsMember({"none", "hard", "soft"}));
  command.add_option("--clamp-from", options.clamp_from, "Clamp only while t/T is at most this")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--clamp-temperature", options.clamp_temperature, "Softness of --clamp soft")
      ->check(CLI::Range(1e-6, 1e6));
  command.add_option("--beams", options.beams, "Texts that beam search keeps; 1 is greedy")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{64}));
  command.add_option("--min-length", options.min_length, "Fewest pieces of words")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{4096}));
  command.add_option("--max-length", options.max_length, "Most pieces of words")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{4096}));
  command
      .add_option("--length-penalty", options.length_penalty,
                  "Beam search compares log-probabilities over length to the power of this")
      ->check(CLI::Range(-10.0, 10.0));
  command
      .add_option("--repetition-penalty", options.repetition_penalty,
                  "Above 1, words that are there already become less likely")
      ->check(CLI::Range(0.1, 10.0));
  command.add_flag("--sample", options.sample, "Draw a single candidate too, rather than search for it");
  command.add_option("--top-p", options.top_p, "Draw from the likeliest words that together exceed this")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--temperature", options.temperature, "Above 1, drawn words are more varied")
      ->check(CLI::Range(1e-3, 1e3));
  command.add_option("--seed", options.seed, "Seed of the noise");
  command.add_option("--candidates", options.candidates, "Captions drawn for each picture")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1024}));
  command.add_option("--select", options.select, "Which candidate is the caption")
      ->check(CLI::IsMember({"first", "mbr", "clip"}));
  command.add_option("--mbr-utility", options.utility, "What minimum Bayes risk measures agreement with")
      ->check(CLI::IsMember({"bleu", "bleu-method4", "cider-d"}));
  CLI::Option* fast = command.add_flag("--fast", options.fast, "5 steps, or no beams; one candidate");
  command
      .add_flag("--best", options.best,
                "30 steps, Back&Refine of a fifth of the words, minimum Bayes risk (CIDEr-D) over 5 candidates")
      ->excludes(fast);
  command.add_option("--batch", options.batch, "Pictures per batch")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{4096}))
      ->capture_default_str();
  command.add_option("--dtype", options.dtype, "Arithmetic; auto is bf16 on CUDA and on processors with AMX, else f32")
      ->check(CLI::IsMember({"auto", "f32", "bf16", "int8"}))
      ->capture_default_str();
  command.add_option("--threads", options.threads, "CPU threads (0: all)")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  add_device_option(command, options.device);
  command.add_flag("--deterministic", options.deterministic,
                   "Results independent of batch size and threads to the last bit");
  group_options(command, "Model and machine",
                {"--model", "--batch", "--dtype", "--threads", "--device", "--deterministic"});
  group_options(command, "What is drawn", {"--fast", "--best", "--seed", "--candidates", "--select", "--mbr-utility"});
  group_options(command, "Denoising",
                {"--steps", "--guidance", "--sampler", "--eta", "--guidance-interval", "--spacing", "--time-shift",
                 "--stop-after", "--freeze-after", "--back-refine", "--no-back-refine", "--back-time", "--back-share",
                 "--min-confidence", "--clamp", "--clamp-from", "--clamp-temperature"});
  group_options(command, "From left to right",
                {"--beams", "--min-length", "--max-length", "--length-penalty", "--repetition-penalty", "--sample",
                 "--top-p", "--temperature"});
}

void group_options(CLI::App& command, const char* heading, std::initializer_list<const char*> names) {
  for (const char* name : names) command.get_option(name)->group(heading);
}

void add_device_option(CLI::App& command, std::string& device) {
  command.add_option("--device", device, "Where to compute; cuda runs capdiff-train")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
}

LoadedModel load_model(const ModelOptions& options) {
  LoadedModel loaded;
  loaded.path = find_model(options.model);
  const ModelFolder folder = ModelFolder::open(loaded.path);
  loaded.backend = make_backend(
      {.compute = compute_type(options), .threads = options.threads, .deterministic = options.deterministic},
      options.device);
  loaded.captioner = load_captioner(folder, *loaded.backend);
  loaded.generation = generation(options, loaded.captioner->defaults());
  return loaded;
}

fs::path find_model(const std::string& given) {
  return find_folder(kModelFolder, given);
}

fs::path load_clip(const ModelOptions& options, LoadedModel& model, bool if_there) {
  const bool asked_for = model.generation.select == Selection::clip;
  if (!asked_for && !(if_there && seek_folder(kClipFolder, options.clip))) return {};
  const fs::path path = find_folder(kClipFolder, options.clip);
  model.clip = std::make_shared<ClipSelector>(std::make_shared<ClipEncoder>(ModelFolder::open(path), *model.backend));
  model.captioner->select_with(model.clip);
  return path;
}

}  // namespace capdiff::app
