#include "capdiff/captioners/generation_options.h"

#include <fmt/format.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"
#include "capdiff/models/size_limits.h"

namespace capdiff {
namespace {

BackAndRefine back_and_refine(const JsonReader& json, BackAndRefine options) {
  options.time = json.get_number("time", 0.0, 1.0, options.time);
  options.not_below = json.get_number("not_below", 0.0, 1.0, options.not_below);
  options.share = json.get_number("share", 0.0, 1.0, options.share);
  if (json.has("min_confidence")) options.min_confidence = json.get_number("min_confidence", 0.0, 1.0);
  options.noisy = json.get_bool("noisy", options.noisy);
  json.reject_unknown_keys();
  return options;
}

Clamping clamping_options(const JsonReader& json, Clamping options) {
  options.kind = clamping_kind(json.get_choice("kind", {"none", "hard", "soft"}, name_of(options.kind)));
  options.from = json.get_number("from", 0.0, 1.0, options.from);
  options.temperature = json.get_number("temperature", 1e-6, 1e6, options.temperature);
  json.reject_unknown_keys();
  return options;
}

LeftToRight left_to_right_options(const JsonReader& json, LeftToRight options) {
  options.beams = json.get_int("beams", 1, 64, options.beams);
  options.min_length = json.get_int("min_length", 0, kMaxPositions, options.min_length);
  options.max_length = json.get_int("max_length", 1, kMaxPositions, options.max_length);
  options.length_penalty = json.get_number("length_penalty", -10.0, 10.0, options.length_penalty);
  options.repetition_penalty = json.get_number("repetition_penalty", 0.1, 10.0, options.repetition_penalty);
  options.sample = json.get_bool("sample", options.sample);
  options.top_p = json.get_number("top_p", 0.0, 1.0, options.top_p);
  options.temperature = json.get_number("temperature", 1e-3, 1e3, options.temperature);
  json.reject_unknown_keys();
  return options;
}

GenerationOptions denoising_options(const JsonReader& json, GenerationOptions options) {
  options.steps = json.get_int("steps", 1, 1'000'000, options.steps);
  options.sampler = sampler_kind(
      json.get_choice("sampler", {"ddim", "renoise", "dpm-solver", "ancestral"}, name_of(options.sampler)));
  options.eta = json.get_number("eta", 0.0, 1.0, options.eta);
  options.guidance = json.get_number("guidance", -100.0, 100.0, options.guidance);
  options.guidance_low = json.get_number("guidance_low", 0.0, 1.0, options.guidance_low);
  options.guidance_high = json.get_number("guidance_high", 0.0, 1.0, options.guidance_high);
  options.spacing = json.get_number("spacing", 0.1, 10.0, options.spacing);
  if (json.has("time_shift")) options.time_shift = json.get_number("time_shift", 0.0, 1.0);
  options.settling.stop_after = json.get_int("stop_after", 0, 1'000'000, options.settling.stop_after);
  options.settling.freeze_after = json.get_int("freeze_after", 0, 1'000'000, options.settling.freeze_after);
  options.refine = json.get_bool("refine", options.refine);
  if (json.has("back_and_refine"))
    options.back_and_refine = back_and_refine(json.get_object("back_and_refine"), options.back_and_refine);
  if (json.has("clamp")) options.clamping = clamping_options(json.get_object("clamp"), options.clamping);
  return options;
}

nlohmann::json denoising_to_json(const GenerationOptions& options) {
  const BackAndRefine& back = options.back_and_refine;
  nlohmann::json refine{
      {"time", back.time}, {"not_below", back.not_below}, {"share", back.share}, {"noisy", back.noisy}};
  if (back.min_confidence) refine["min_confidence"] = *back.min_confidence;
  nlohmann::json json{{"steps", options.steps},
                      {"sampler", name_of(options.sampler)},
                      {"eta", options.eta},
                      {"guidance", options.guidance},
                      {"guidance_low", options.guidance_low},
                      {"guidance_high", options.guidance_high},
                      {"spacing", options.spacing},
                      {"stop_after", options.settling.stop_after},
                      {"freeze_after", options.settling.freeze_after},
                      {"refine", options.refine},
                      {"back_and_refine", refine},
                      {"clamp",
                       {{"kind", name_of(options.clamping.kind)},
                        {"from", options.clamping.from},
                        {"temperature", options.clamping.temperature}}}};
  if (options.time_shift) json["time_shift"] = *options.time_shift;
  return json;
}

nlohmann::json left_to_right_to_json(const LeftToRight& how) {
  return {{"left_to_right",
           {{"beams", how.beams},
            {"min_length", how.min_length},
            {"max_length", how.max_length},
            {"length_penalty", how.length_penalty},
            {"repetition_penalty", how.repetition_penalty},
            {"sample", how.sample},
            {"top_p", how.top_p},
            {"temperature", how.temperature}}}};
}

std::string describe_denoising(const GenerationOptions& options) {
  std::string text =
      fmt::format("{} | steps {} | guidance {}", name_of(options.sampler), options.steps, options.guidance);
  if (options.eta > 0.0) text += fmt::format(" | eta {}", options.eta);
  if (options.guidance_low > 0.0 || options.guidance_high < 1.0)
    text += fmt::format(" in {}..{}", options.guidance_low, options.guidance_high);
  if (options.spacing != 1.0) text += fmt::format(" | spacing {}", options.spacing);
  if (options.time_shift) text += fmt::format(" | time shift {}", *options.time_shift);
  if (options.settling.stop_after > 0) text += fmt::format(" | stops after {}", options.settling.stop_after);
  if (options.settling.freeze_after > 0) text += fmt::format(" | freezes after {}", options.settling.freeze_after);
  if (options.refine) {
    const BackAndRefine& back = options.back_and_refine;
    text += back.min_confidence ? fmt::format(" | back&refine t {} confidence {}", back.time, *back.min_confidence)
                                : fmt::format(" | back&refine t {} l {:.3g}", back.time, back.share);
  }
  if (const Clamping& clamping = options.clamping; clamping.kind != Clamping::Kind::none) {
    text += fmt::format(" | {} clamp", name_of(clamping.kind));
    if (clamping.kind == Clamping::Kind::soft) text += fmt::format(" {}", clamping.temperature);
    if (clamping.from < 1.0) text += fmt::format(" from t {}", clamping.from);
  }
  return text;
}

std::string describe_left_to_right(const LeftToRight& how, const GenerationOptions& options) {
  std::string text = "left to right";
  if (samples(how, options.candidates))
    text += fmt::format(" | top p {} | temperature {}", how.top_p, how.temperature);
  else
    text +=
        how.beams == 1 ? " | greedy" : fmt::format(" | beams {} | length penalty {}", how.beams, how.length_penalty);
  if (!options.length) text += fmt::format(" | pieces {}..{}", how.min_length, how.max_length);
  if (how.repetition_penalty != 1.0) text += fmt::format(" | repetition penalty {}", how.repetition_penalty);
  return text;
}

}  // namespace

bool samples(const LeftToRight& how, std::int64_t candidates) {
  return how.sample || candidates > 1;
}

Selection selection(std::string_view name) {
  for (const Selection selection : {Selection::first, Selection::mbr, Selection::clip})
    if (name == name_of(selection)) return selection;
  fail(ErrorCode::usage, "unknown selection '{}'; known: first, mbr, clip", name);
}

std::string_view name_of(Selection selection) {
  switch (selection) {
    case Selection::first: return "first";
    case Selection::mbr: return "mbr";
    case Selection::clip: return "clip";
  }
  return "";
}

GenerationOptions generation_options(const JsonReader& json, GenerationOptions options) {
  if (!options.left_to_right)
    options = denoising_options(json, std::move(options));
  else if (json.has("left_to_right"))
    options.left_to_right = left_to_right_options(json.get_object("left_to_right"), *options.left_to_right);
  options.seed = static_cast<std::uint64_t>(
      json.get_int("seed", 0, std::numeric_limits<std::int64_t>::max(), static_cast<std::int64_t>(options.seed)));
  options.candidates = json.get_int("candidates", 1, 1024, options.candidates);
  options.select = selection(json.get_choice("select", {"first", "mbr", "clip"}, name_of(options.select)));
  options.utility = utility(json.get_choice("utility", {"bleu", "bleu-method4", "cider-d"}, name_of(options.utility)));
  json.reject_unknown_keys();
  return options;
}

nlohmann::json to_json(const GenerationOptions& options) {
  nlohmann::json json =
      options.left_to_right ? left_to_right_to_json(*options.left_to_right) : denoising_to_json(options);
  json["seed"] = options.seed;
  json["candidates"] = options.candidates;
  json["select"] = name_of(options.select);
  json["utility"] = name_of(options.utility);
  return json;
}

std::string describe(const GenerationOptions& options) {
  std::string text =
      options.left_to_right ? describe_left_to_right(*options.left_to_right, options) : describe_denoising(options);
  if (options.length) text += fmt::format(" | length {}", *options.length);
  if (options.candidates > 1)
    text += fmt::format(" | {} of {} candidates", name_of(options.select), options.candidates);
  if (options.select == Selection::mbr) text += fmt::format(" by {}", name_of(options.utility));
  return text + fmt::format(" | seed {}", options.seed);
}

}  // namespace capdiff
