#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "capdiff/base/error.h"
#include "capdiff/captioners/prefix_model.h"
#include "capdiff/diffusion/posterior.h"
#include "capdiff/diffusion/sampler.h"
#include "capdiff/evaluation/prefix_golden.h"
#include "capdiff/evaluation/verify.h"
#include "capdiff/evaluation/verify_kinds.h"
#include "capdiff/models/word_clamp.h"

namespace capdiff {
namespace {

using Json = nlohmann::json;

constexpr double kSchedule = 1e-10;   ///< relative
constexpr double kPosterior = 1e-8;   ///< relative
constexpr double kSinusoids = 5e-5;   ///< what float32 does to t ω
constexpr double kJsonLosses = 1e-5;  ///< relative

/// The noise levels that a case of golden.json visits: all of them, `[n]` evenly spread with both ends, or "ddimN" with
/// a constant stride from 0.
std::vector<std::int64_t> prefix_levels(const Json& respacing, std::int64_t time_steps) {
  constexpr std::string_view kDdim = "ddim";
  if (respacing.is_null()) return respaced_times(time_steps, time_steps);
  if (respacing.is_string() && respacing.get<std::string>().starts_with(kDdim))
    return multiple_times(std::stoll(respacing.get<std::string>().substr(kDdim.size())), time_steps);
  if (respacing.is_array() && respacing.size() == 1) return respaced_times(respacing.at(0), time_steps);
  fail(ErrorCode::unsupported, "golden.json: respacing {}; known: null, [n] and \"ddimN\"", respacing.dump());
}

/// Noise from arrays.
class StoredNoise final : public NoiseSource {
 public:
  StoredNoise(Backend& backend, HostTensor initial, std::vector<HostTensor> steps)
      : backend_(backend), initial_(std::move(initial)), steps_(std::move(steps)) {}
  Value initial() override { return backend_.upload(initial_); }
  Value step(std::int64_t draw) override { return backend_.upload(steps_.at(static_cast<std::size_t>(draw))); }
  Value restart() override { return initial(); }

 private:
  Backend& backend_;
  HostTensor initial_;
  std::vector<HostTensor> steps_;
};

/// What a walk of the sampler leaves to compare: a list a call.
struct PrefixWalk {
  std::vector<HostTensor> raw, clamped_ids, x_t, x0;
};

class PrefixVerification {
 public:
  PrefixVerification(const std::filesystem::path& folder, Backend& backend, GoldenReport& report)
      : golden_(folder),
        backend_(backend),
        report_(report),
        tensors_(
            golden_.tensors(), [this](const std::string& name) { return golden_.tolerance(name); }, report),
        parameters_(golden_.parameters()),
        model_(backend, parameters_, golden_.training_config(), /*with_image_tower=*/false),
        clamp_(backend, model_.words().table()) {}

  void schedules() {
    const SafetensorsFile file = SafetensorsFile::open(golden_.folder() / "schedules.safetensors");
    GoldenTensors stored(
        file,
        [](const std::string& name) {
          return Tolerance{name.starts_with("time_") ? kSinusoids : 0.0, kSchedule};
        },
        report_, "schedules/");
    for (const auto& [name, entry] : file.entries()) {
      const std::size_t dot = name.find('.'), end = name.find('.', dot + 1);
      if (name.starts_with("time_embedding.") || end == std::string::npos) continue;
      report_.part("schedules/" + name, [&] {
        const NoiseSchedule schedule =
            schedule_of(name.substr(0, dot), std::stoll(name.substr(dot + 1, end - dot - 1)));
        stored.compare(name, levels_of(schedule, name.substr(end + 1) == "beta"));
      });
    }
    const HostTensor t = stored.input("time_embedding.t");
    constexpr std::string_view kSinusoidPrefix = "time_embedding.dim";
    for (const std::string& name : stored.names(kSinusoidPrefix))
      stored.compare(name, split_sinusoids(t, std::stoll(name.substr(kSinusoidPrefix.size()))));
    stored.finish();
  }

  void forward() {
    const Value x_t = backend_.upload(tensors_.input("fwd.x_t"));
    const HostTensor t = tensors_.input("fwd.t_scaled");
    const Probe probe = [&](std::string_view name, const Value& value) {
      tensors_.compare("fwd." + std::string(name), backend_.download(value));
    };
    const Prefix prefix = model_.denoiser().prefix(backend_.upload(tensors_.input("fwd.image_feature")), probe);
    const Value x0 = model_.denoiser()(x_t, t, std::array{PrefixedRows{t.numel(), &prefix}}, probe);
    tensors_.compare("fwd.logits_of_x0hat", backend_.download(model_.words().dot_logits(x0)));
    tensors_.compare("fwd.logits_mode2_of_x0hat", negative_distances(backend_.download(x0), model_.words().table()));
  }

  void losses() {
    const HostTensor ids = tensors_.input("train.input_ids"), feature = tensors_.input("train.image_feature");
    const PrefixModel::Noise noise{tensors_.input("train.n1_embedding_noise"),
                                   tensors_.input("train.n2_diffusion_noise"), tensors_.input("train.t")};
    const PrefixModel::Losses all = losses_of(ids, noise, feature);
    tensors_.compare("train.x0", backend_.download(all.x0));
    tensors_.compare("train.x_t", backend_.download(all.x_t));
    tensors_.compare("train.x0hat", backend_.download(all.x0_predicted));
    tensors_.compare("train.loss_mean", backend_.download(all.total));
    std::array<std::vector<float>, 4> each;
    for (std::int64_t row = 0; row < ids.shape()[0]; ++row) {
      const auto of_row = [row](const HostTensor& tensor) { return tensor.slice(row, row + 1); };
      const PrefixModel::Losses one =
          losses_of(of_row(ids), {of_row(noise.embedding), of_row(noise.diffusion), of_row(noise.t)}, of_row(feature));
      for (const auto& [i, loss] : {std::pair(0, one.denoising), {1, one.rounding}, {2, one.prior}, {3, one.total}})
        each[static_cast<std::size_t>(i)].push_back(backend_.download(loss).values<float>()[0]);
    }
    const Json& section = golden_.json().at("train");
    for (const auto& [i, name] : {std::pair(0, "mse"), {1, "decoder_nll"}, {2, "tT_loss"}, {3, "loss"}}) {
      const std::vector<float>& values = each[static_cast<std::size_t>(i)];
      tensors_.compare(std::string("train.") + name,
                       HostTensor::of({static_cast<std::int64_t>(values.size())}, values));
      report_.compare_json(std::string("train.") + name, section.at(name), values, 0.0, kJsonLosses);
    }
    report_.compare_json("train.mean", section.at("mean"), backend_.download(all.total).values<float>()[0], 0.0,
                         kJsonLosses);
  }

  void clamping() {
    const HostTensor x = tensors_.input("clamp.x");
    tensors_.compare("clamp.ids", backend_.download(clamp_.nearest(backend_.upload(x))));
    tensors_.compare("clamp.result", backend_.download(clamp_(backend_.upload(x), {.kind = Clamping::Kind::hard})));
  }

  void single_steps() {
    const HostTensor x_t = tensors_.input("ddim.x_t"), noise = tensors_.input("ddim.noise");
    std::size_t index = 0;
    for (const Json& step : golden_.json().at("ddim_single")) {
      const NoiseSchedule schedule = schedule_of(step.at("schedule"), step.at("T"));
      std::vector<std::int64_t> times = prefix_levels(step.at("respacing"), schedule.time_steps());
      const auto at = times.end() - 1 - step.at("index").get<std::ptrdiff_t>();
      if (at < times.begin() || at + 1 >= times.end())
        fail(ErrorCode::invalid_input, "golden.json: a step with the index {}", step.at("index").dump());
      const std::vector<std::int64_t> two{at[0], at[1]};
      compare_levels(fmt::format("ddim_single.{}.", index++), step, schedule, two);
      for (const auto& [eta, clamped] : {std::pair(0.0, true), {0.0, false}, {1.0, true}, {1.0, false}}) {
        const std::string name =
            fmt::format("ddim.{}.eta{:.0f}.{}", step.at("name").get<std::string>(), eta, clamped ? "clamp" : "noclamp");
        if (tensors_.names(name + ".").empty()) continue;
        const PrefixWalk walk = walked(schedule, two, eta, clamped, x_t, {noise});
        tensors_.compare(name + ".pred_xstart", walk.x0.at(0));
        tensors_.compare(name + ".x_s", walk.x_t.at(1));
      }
    }
  }

  void trajectories() {
    std::size_t index = 0;
    for (const Json& run : golden_.json().at("trajectories")) {
      const std::string path = fmt::format("trajectories.{}.", index++);
      report_.part(path, [&] { trajectory(path, run); });
    }
  }

  void posteriors() {
    std::size_t index = 0;
    for (const Json& stored : golden_.json().at("posterior")) {
      const std::string path = fmt::format("posterior.{}.", index++);
      report_.part(path, [&] { posterior(path, stored); });
    }
  }

  void gradients(GradientCheck* check) {
    if (check) return check->check_prefix(golden_, tensors_);
    tensors_.skip("grad.");
    tensors_.skip("opt.");
    for (const char* name : {"json.opt.losses", "json.opt.losses_fp64"}) report_.skipped.emplace_back(name);
  }

  void finish() { tensors_.finish(); }

 private:
  NoiseSchedule schedule_of(const std::string& name, std::int64_t time_steps) const {
    return NoiseSchedule(golden_.config(schedule_kind(name), time_steps).schedule);
  }

  static HostTensor levels_of(const NoiseSchedule& schedule, bool betas) {
    HostTensor levels(DType::f64, {schedule.time_steps()});
    double before = 1.0;
    for (std::int64_t t = 0; t < schedule.time_steps(); ++t) {
      const double alpha_bar = schedule.alpha_bar(t);
      levels.mutable_values<double>()[static_cast<std::size_t>(t)] = betas ? 1.0 - alpha_bar / before : alpha_bar;
      before = alpha_bar;
    }
    return levels;
  }

  PrefixModel::Losses losses_of(const HostTensor& ids, const PrefixModel::Noise& noise,
                                const HostTensor& feature) const {
    const Prefix prefix = model_.denoiser().prefix(backend_.upload(feature));
    return model_.losses(ids, noise, std::array{PrefixedRows{ids.shape()[0], &prefix}});
  }

  void compare_levels(const std::string& path, const Json& golden, const NoiseSchedule& schedule,
                      const std::vector<std::int64_t>& two) {
    const auto T = static_cast<double>(schedule.time_steps());
    report_.compare_json(path + "t_original", golden.at("t_original"), two[0]);
    report_.compare_json(path + "t_prev_original", golden.at("t_prev_original"), two[1]);
    report_.compare_json(path + "t_scaled", golden.at("t_scaled"), static_cast<double>(two[0]) * 1000.0 / T, 1e-9);
    for (const auto& [name, t] : {std::pair("abar_t", two[0]), {"abar_s", two[1]}})
      report_.compare_json(path + name, golden.at(name), schedule.alpha_bar(t), 0.0, kSchedule);
  }

  /// DDIM over `times` from x_T [B, L, D] under the picture that all samples share.
  PrefixWalk walked(const NoiseSchedule& schedule, const std::vector<std::int64_t>& times, double eta, bool clamped,
                    const HostTensor& x_T, std::vector<HostTensor> noises) {
    const HostTensor feature = tensors_.input("sample.image_feature");
    const Prefix prefix = model_.denoiser().prefix(backend_.upload(feature.reshaped({1, feature.numel()})));
    StoredNoise noise(backend_, x_T, std::move(noises));
    PrefixWalk walk;
    const SamplingTask task{.denoise =
                                [&](const Value& x_t, const Value&, std::int64_t t) {
                                  const Value time = model_.denoiser().time(
                                      scaled_times(HostTensor::of({1}, std::array{t}), schedule.time_steps()));
                                  const Value x0 = model_.guided(x_t, time, prefix, nullptr, 0.0);
                                  walk.raw.push_back(backend_.download(x0));
                                  if (!clamped) return x0;
                                  walk.clamped_ids.push_back(backend_.download(clamp_.nearest(x0)));
                                  return clamp_(x0, {.kind = Clamping::Kind::hard});
                                },
                            .noise = &noise,
                            .confidence = {},
                            .known = {},
                            .observe =
                                [&](const SamplerCall& call) {
                                  walk.x_t.push_back(backend_.download(call.x_t));
                                  walk.x0.push_back(backend_.download(call.x0));
                                }};
    sample(backend_, schedule, {.kind = SamplerKind::ddim, .eta = eta, .time_shift = 0, .back_and_refine = {}}, times,
           task);
    return walk;
  }

  void trajectory(const std::string& path, const Json& run) {
    const NoiseSchedule schedule = schedule_of(run.at("schedule"), run.at("T"));
    const std::vector<std::int64_t> times = prefix_levels(run.at("respacing"), schedule.time_steps());
    std::vector<double> scaled, abar, abar_next;
    for (const std::int64_t t : times) {
      scaled.push_back(static_cast<double>(t) * 1000.0 / static_cast<double>(schedule.time_steps()));
      if (!abar.empty()) abar_next.push_back(schedule.alpha_bar(t));
      abar.push_back(schedule.alpha_bar(t));
    }
    abar_next.push_back(1.0);
    report_.compare_json(path + "t_original", run.at("t_original"), times);
    report_.compare_json(path + "t_scaled", run.at("t_scaled"), scaled, 1e-9);
    report_.compare_json(path + "abar", run.at("abar"), abar, 0.0, kSchedule);
    report_.compare_json(path + "abar_next", run.at("abar_next"), abar_next, 0.0, kSchedule);

    const std::string name = "traj." + run.at("name").get<std::string>();
    const HostTensor noise = tensors_.input(name + ".noise");
    std::vector<HostTensor> noises;
    for (std::int64_t step = 0; step < noise.shape()[0]; ++step)
      noises.push_back(noise.slice(step, step + 1).reshaped(tensors_.file().tensor(name + ".x_T").shape()));
    const PrefixWalk walk =
        walked(schedule, times, run.at("eta"), /*clamped=*/true, tensors_.input(name + ".x_T"), noises);
    std::vector<HostTensor> after(walk.x_t.begin() + 1, walk.x_t.end());
    after.push_back(walk.x0.back());
    tensors_.compare(name + ".x0hat_raw", stacked(walk.raw));
    tensors_.compare(name + ".clamp_ids", stacked(walk.clamped_ids));
    tensors_.compare(name + ".x_after_step", stacked(after));
    const Value logits = model_.words().dot_logits(backend_.upload(after.back()));
    const HostTensor ids = backend_.download(backend_.argmax(logits));
    tensors_.compare(name + ".final_logits", backend_.download(logits));
    tensors_.compare(name + ".final_ids", ids);
    report_.compare_json(
        path + "final_ids_equal_last_clamp_ids", run.at("final_ids_equal_last_clamp_ids"),
        std::ranges::equal(ids.values<std::int64_t>(), walk.clamped_ids.back().values<std::int64_t>()));
  }

  void posterior(const std::string& path, const Json& stored) {
    const NoiseSchedule schedule = schedule_of(stored.at("schedule"), stored.at("T"));
    const std::string name = "post." + stored.at("name").get<std::string>();
    const HostTensor x0 = tensors_.input(name + ".x0"), x_t = tensors_.input(name + ".x_t"),
                     noise = tensors_.input(name + ".noise");
    // The first entry of the logarithms, which would be that of 0, is the second one's.
    const auto posterior_at = [&](std::int64_t t) {
      return Posterior(schedule.alpha_bar(t), t == 0 ? 1.0 : schedule.alpha_bar(t - 1));
    };
    const double first = std::log(posterior_at(1).variance);
    std::vector<double> variance, small, large, x0_weights, x_t_weights;
    std::vector<HostTensor> means, small_samples, large_samples;
    const std::vector<std::int64_t> times = stored.at("t");
    for (std::size_t i = 0; i < times.size(); ++i) {
      const Posterior at = posterior_at(times[i]);
      variance.push_back(at.variance);
      small.push_back(times[i] == 0 ? first : std::log(at.variance));
      large.push_back(times[i] == 0 ? first : std::log(at.beta));
      x0_weights.push_back(at.x0_weight);
      x_t_weights.push_back(at.x_t_weight);
      const auto row = [&](const HostTensor& tensor) {
        return backend_.upload(tensor.slice(static_cast<std::int64_t>(i), static_cast<std::int64_t>(i) + 1));
      };
      const Value mean = at.mean(backend_, row(x0), row(x_t));
      const auto sampled = [&](double log_variance) {
        const float deviation = times[i] == 0 ? 0.0f : static_cast<float>(std::exp(0.5 * log_variance));
        return backend_.download(backend_.scale_add(1.0f, mean, deviation, row(noise)));
      };
      means.push_back(backend_.download(mean));
      small_samples.push_back(sampled(small.back()));
      large_samples.push_back(sampled(large.back()));
    }
    const auto compare = [&](const char* key, const std::vector<double>& computed) {
      report_.compare_json(path + key, stored.at(key), computed, 1e-12, kPosterior);
    };
    compare("variance", variance);
    compare("log_variance_clipped_fixed_small", small);
    compare("log_variance_fixed_large", large);
    compare("coef_x0", x0_weights);
    compare("coef_xt", x_t_weights);
    tensors_.compare(name + ".mean", stacked(means));
    tensors_.compare(name + ".sample_fixed_small", stacked(small_samples));
    tensors_.compare(name + ".sample_fixed_large", stacked(large_samples));
  }

  PrefixGolden golden_;
  Backend& backend_;
  GoldenReport& report_;
  GoldenTensors tensors_;
  ParameterStore parameters_;
  PrefixModel model_;
  WordClamp clamp_;
};

}  // namespace

GoldenReport verify_prefix(const std::filesystem::path& folder, Backend& backend, GradientCheck* gradients) {
  GoldenReport report;
  PrefixVerification v(folder, backend, report);
  if (std::filesystem::exists(folder / "schedules.safetensors")) report.part("schedules", [&] { v.schedules(); });
  report.part("fwd", [&] { v.forward(); });
  report.part("train", [&] { v.losses(); });
  report.part("clamp", [&] { v.clamping(); });
  report.part("ddim", [&] { v.single_steps(); });
  report.part("traj", [&] { v.trajectories(); });
  report.part("post", [&] { v.posteriors(); });
  report.part("grad", [&] { v.gradients(gradients); });
  if (std::filesystem::exists(folder / "diversity.json")) verify_diversity(folder / "diversity.json", report);
  v.finish();
  return report;
}

}  // namespace capdiff
