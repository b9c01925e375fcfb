#include <array>
#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"
#include "capdiff/evaluation/verify_ladic.h"
#include "capdiff/selection/minimum_bayes_risk.h"
#include "capdiff/text/detokenise.h"

namespace capdiff {
namespace {

/// Double precision on both sides, summed in another order.

/// The noise that the reference drew.
class GoldenNoise final : public NoiseSource {
 public:
  GoldenNoise(Backend& backend, GoldenTensors& tensors, const std::string& run)
      : backend_(backend), initial_(tensors.input(run + ".noise_init")) {
    if (tensors.contains(run + ".noise_steps")) steps_ = tensors.input(run + ".noise_steps");
    if (tensors.contains(run + ".noise_restart")) restart_ = tensors.input(run + ".noise_restart");
  }

  std::int64_t rows() const { return initial_.shape()[0]; }
  Value initial() override { return backend_.upload(initial_); }
  Value step(std::int64_t draw) override {
    if (steps_.shape().rank() != initial_.shape().rank() + 1 || draw >= steps_.shape()[0])
      fail(ErrorCode::invalid_input, "the sampler wants more fresh noise than the golden run drew");
    return backend_.upload(steps_.slice(draw, draw + 1).reshaped(initial_.shape()));
  }
  Value restart() override {
    if (restart_.shape() != initial_.shape())
      fail(ErrorCode::invalid_input, "the sampler goes back where the golden run did not");
    return backend_.upload(restart_);
  }

 private:
  Backend& backend_;
  HostTensor initial_, steps_, restart_;
};

/// Positions of each row that are taken back, in order: i64 [B, …] of f32 [B, L], 0 where they are.
HostTensor taken_back(const HostTensor& kept) {
  std::vector<std::int64_t> positions;
  const std::int64_t rows = kept.shape()[0], length = kept.shape()[1];
  for (std::int64_t i = 0; i < rows * length; ++i)
    if (kept.values<float>()[static_cast<std::size_t>(i)] == 0.0f) positions.push_back(i % length);
  return HostTensor::of({rows, static_cast<std::int64_t>(positions.size()) / rows}, positions);
}

/// One run of a sampler: `sample_released.s30`, `paper.infill`, ….
class RunVerification {
 public:
  RunVerification(LadicVerification& verification, std::string name)
      : v_(verification),
        name_(std::move(name)),
        json_(verification.golden.json().at(name_)),
        profile_(name_.starts_with("paper.") ? Profile::paper : Profile::released),
        model_(verification.model(profile_)),
        noise_(verification.backend, verification.tensors, name_) {}

  void run() {
    const Value x0 = walk();
    Backend& b = v_.backend;
    compare("trajectory", stacked(estimates_));
    v_.tensors.compare_if_stored(name_ + ".trajectory_xt", stacked(inputs_));
    if (goes_back()) {
      compare("confidence", confidence_);
      if (kept_.numel() == 0) fail(ErrorCode::invalid_input, "the sampler did not go back");
      if (profile_ == Profile::paper)
        compare("keep_mask", kept_);
      else
        compare("redo_positions", taken_back(kept_));
    }
    compare("x0_final", b.download(x0));
    const Value logits = model_.text().logits(x0);
    compare("logits", b.download(logits));
    const HostTensor ids = b.download(b.argmax(logits));
    compare("ids", ids);
    compare_json(profile_ == Profile::paper ? "t" : "embedded_t",
                 profile_ == Profile::paper ? noise_levels_ : told_times_);
    const auto rows = LadicVerification::rows(ids);
    compare_json("tokens", v_.tokens(rows));
    if (profile_ == Profile::paper)
      paper_captions(rows);
    else
      released_captions(rows);
  }

 private:
  using Rows = std::vector<std::vector<std::int64_t>>;

  bool goes_back() const { return v_.tensors.contains(name_ + ".noise_restart"); }
  void compare(const std::string& what, const HostTensor& computed) {
    v_.tensors.compare(name_ + "." + what, computed);
  }
  void compare_json(const std::string& key, const nlohmann::json& computed, double tolerance = 0.0) {
    v_.tensors.report().compare_json(name_ + "." + key, json_.at(key), computed, tolerance);
  }

  /// The picture that the run names, for all its rows; otherwise a picture a row.
  Condition condition() const {
    const bool one = json_.contains("image_index");
    const std::size_t first = one ? json_.at("image_index").get<std::size_t>() : 0;
    return v_.condition(model_, v_.pixels(first, one ? 1 : static_cast<std::size_t>(noise_.rows())));
  }

  std::vector<std::int64_t> times() const {
    const std::int64_t time_steps = model_.schedule().time_steps();
    return profile_ == Profile::paper ? ddim_times(json_.at("steps"), time_steps)
                                      : times_of_stride(json_.at("stride"), time_steps);
  }

  SamplerConfig sampler() const {
    const GenerationOptions generation = model_.config().generation();
    SamplerConfig config{.kind = generation.sampler,
                         .eta = generation.eta,
                         .time_shift = model_.config().time_shift,
                         .back_and_refine = std::nullopt};
    if (goes_back()) config.back_and_refine = generation.back_and_refine;
    return config;
  }

  /// Words that are given, where the run fills blanks.
  std::optional<KnownPositions> known() {
    if (!v_.tensors.contains(name_ + ".known_mask")) return std::nullopt;
    const HostTensor ids = v_.tensors.input(name_ + ".input_ids");
    HostTensor present(DType::f32, ids.shape()), given(DType::f32, ids.shape());
    for (std::size_t i = 0; i < ids.values<std::int64_t>().size(); ++i) {
      const std::int64_t id = ids.values<std::int64_t>()[i];
      present.mutable_values<float>()[i] = id == v_.vocabulary.pad() ? 0.0f : 1.0f;
      given.mutable_values<float>()[i] = id == v_.vocabulary.unk() ? 0.0f : 1.0f;
    }
    const HostTensor mask = v_.tensors.input(name_ + ".attention_mask", present).to(DType::f32);
    const HostTensor known = v_.tensors.input(name_ + ".known_mask", given).to(DType::f32);
    const Value latent = model_.text().encode({ids, mask});
    compare("latent", v_.backend.download(latent));
    return KnownPositions{v_.backend.upload(known.reshaped({ids.shape()[0], ids.shape()[1], 1})), latent};
  }

  Value walk() {
    Backend& b = v_.backend;
    const Condition images = condition(), null = model_.null_condition();
    const double guidance = v_.golden.guidance(profile_);
    const std::int64_t rows = noise_.rows();
    const std::array parts{ConditionedRows{rows, &images}, ConditionedRows{rows, &null}};
    const SamplingTask task{.denoise =
                                [&](const Value& x_t, const Value& self_condition, std::int64_t t) {
                                  told_times_.push_back(t);
                                  const Value time =
                                      model_.denoiser().time(b.upload(HostTensor::of({1}, std::array{t})));
                                  return model_.guided(x_t, self_condition, time,
                                                       std::span(parts).first(guidance == 0.0 ? 1 : 2), guidance);
                                },
                            .noise = &noise_,
                            .confidence =
                                [&](const Value& x0) {
                                  confidence_ = b.download(b.max(b.softmax(model_.text().logits(x0))));
                                  return confidence_;
                                },
                            .known = known(),
                            .observe =
                                [&](const SamplerCall& call) {
                                  noise_levels_.push_back(call.t);
                                  inputs_.push_back(b.download(call.x_t));
                                  estimates_.push_back(b.download(call.x0));
                                  if (call.kept) kept_ = *call.kept;
                                }};
    return sample(b, model_.schedule(), sampler(), times(), task);
  }

  void released_captions(const Rows& rows) {
    std::vector<std::string> alone, plain, together;
    for (const auto& ids : rows) {
      alone.push_back(released_caption(v_.vocabulary, ids));
      plain.push_back(tidy_released_caption(join_pieces(v_.vocabulary, ids)));
    }
    for (const auto& ids : unique_consecutive_columns(rows))
      together.push_back(tidy_released_caption(join_pieces(v_.vocabulary, ids)));
    compare_json("captions_per_row", alone);
    compare_json("captions_no_unique", plain);
    compare_json("captions_as_coded_for_this_batch", together);
  }

  void paper_captions(const Rows& rows) {
    std::vector<std::string> captions;
    for (const auto& ids : rows) captions.push_back(paper_caption(v_.vocabulary, ids));
    compare_json("captions", captions);
    if (json_.contains("chosen")) choose(captions);
  }

  void choose(const std::vector<std::string>& captions) {
    const MinimumBayesRisk risk = minimum_bayes_risk(captions, Utility::bleu);
    const std::vector<std::vector<double>> table = utilities(captions, Utility::bleu);
    compare_json("chosen", risk.chosen);
    compare_json("caption", captions[risk.chosen]);
    compare_json("scores", risk.scores, kScoreTolerance);
    compare_json("utility", table, kScoreTolerance);
    const auto count = static_cast<std::int64_t>(captions.size());
    const std::vector<float> scores(risk.scores.begin(), risk.scores.end());
    compare("scores", HostTensor::of({count}, scores));
    std::vector<float> utility;
    for (const auto& row : table) utility.insert(utility.end(), row.begin(), row.end());
    compare("utility", HostTensor::of({count, count}, utility));
  }

  LadicVerification& v_;
  std::string name_;
  const nlohmann::json& json_;
  Profile profile_;
  const LadicModel& model_;
  GoldenNoise noise_;
  std::vector<std::int64_t> noise_levels_, told_times_;
  std::vector<HostTensor> inputs_, estimates_;
  HostTensor confidence_, kept_;
};

}  // namespace

void verify_ladic_sampling(LadicVerification& v) {
  for (const auto& [name, entry] : v.golden.json().items()) {
    const bool released = name.starts_with("sample_");
    if (!released && !name.starts_with("paper.")) continue;
    v.tensors.report().part(name, [&] { RunVerification(v, name).run(); });
  }
}

}  // namespace capdiff
