#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"
#include "capdiff/diffusion/dpm_solver.h"
#include "capdiff/evaluation/golden_tensors.h"
#include "capdiff/evaluation/verify_kinds.h"
#include "capdiff/formats/json_reader.h"

namespace capdiff {
namespace {

/// Of a tensor's largest number: an order of magnitude above what float32 does to the reference.
constexpr double kSolverTolerance = 2e-4;

/// The discrete schedule of the goldens: β rises linearly over this many steps.
constexpr std::int64_t kTimeSteps = 1000;
constexpr double kBetaMin = 1e-4, kBetaMax = 0.02;
/// Walks shorter than this end with a first-order step, where the case asks for it.
constexpr std::int64_t kFewSteps = 10;

struct Case {
  explicit Case(const JsonReader& json)
      : name(json.get_string("name")),
        schedule(
            json.get_choice("schedule", {"linear", "discrete"}) == "linear"
                ? ContinuousSchedule::linear(json.get_number("beta0", 0.0, 1e6), json.get_number("beta1", 0.0, 1e6))
                : discrete()),
        spacing(time_spacing(json.get_string("skip"))),
        steps(json.get_int("steps", 1, 10'000)),
        order(json.get_int("order", 1, 2)),
        lower_order_final(json.get_bool("lower_order_final")),
        denoise(json.get_bool("denoise")),
        start(json.get_number("t_start", 0.0, 1.0)),
        end(json.get_number("t_end", 0.0, 1.0)) {}

  static ContinuousSchedule discrete() {
    std::vector<double> alpha_bar;
    double product = 1.0;
    for (std::int64_t n = 0; n < kTimeSteps; ++n) {
      product *= 1.0 - kBetaMin - (kBetaMax - kBetaMin) * static_cast<double>(n) / static_cast<double>(kTimeSteps - 1);
      alpha_bar.push_back(product);
    }
    return ContinuousSchedule::discrete(alpha_bar);
  }

  std::string name;
  ContinuousSchedule schedule;
  TimeSpacing spacing;
  std::int64_t steps, order;
  bool lower_order_final, denoise;
  double start, end;
};

/// The network of the goldens: the exact posterior mean of x0 where it is drawn from a mixture of Gaussians.
class MixturePredictor {
 public:
  explicit MixturePredictor(GoldenTensors& tensors)
      : means_(tensors.input("mixture.means")),
        weights_(tensors.input("mixture.weights")),
        variance_(tensors.input("mixture.variance").values<double>()[0]) {}

  /// x [B, D] f32 → x̂0 [B, D] f32.
  HostTensor operator()(const HostTensor& x, const SolverPoint& at) const {
    const auto width = static_cast<std::size_t>(x.shape().cols());
    HostTensor x0(DType::f32, x.shape());
    for (std::size_t row = 0; row * width < x.values<float>().size(); ++row)
      predict(x.values<float>().subspan(row * width, width), at,
              x0.mutable_values<float>().subspan(row * width, width));
    return x0;
  }

 private:
  void predict(std::span<const float> x, const SolverPoint& at, std::span<float> x0) const {
    const double variance = at.alpha * at.alpha * variance_ + at.sigma * at.sigma;
    std::vector<double> shares;
    for (std::size_t k = 0; k < weights_.values<double>().size(); ++k) {
      double distance = 0.0;
      for (std::size_t d = 0; d < x.size(); ++d)
        distance += std::pow(static_cast<double>(x[d]) - at.alpha * mean(k, x.size())[d], 2);
      shares.push_back(std::log(weights_.values<double>()[k]) - distance / (2.0 * variance));
    }
    const double top = *std::ranges::max_element(shares);
    double total = 0.0;
    for (double& share : shares) total += share = std::exp(share - top);
    for (std::size_t d = 0; d < x.size(); ++d) {
      double sum = 0.0;
      for (std::size_t k = 0; k < shares.size(); ++k)
        sum += shares[k] / total *
               (variance_ * at.alpha * static_cast<double>(x[d]) + at.sigma * at.sigma * mean(k, x.size())[d]);
      x0[d] = static_cast<float>(sum / variance);
    }
  }
  std::span<const double> mean(std::size_t k, std::size_t width) const {
    return means_.values<double>().subspan(k * width, width);
  }

  HostTensor means_, weights_;
  double variance_;
};

void verify_case(const Case& solved, const MixturePredictor& predict, Backend& b, GoldenTensors& tensors) {
  std::vector<SolverPoint> points;
  const std::vector<double> times =
      solver_times(solved.schedule, solved.spacing, solved.steps, solved.start, solved.end);
  HostTensor grid(DType::f64, {solved.steps + 1, 4});
  auto out = grid.mutable_values<double>().begin();
  for (const double t : times) {
    points.push_back(solved.schedule.point(t));
    out = std::ranges::copy(std::array{t, points.back().alpha, points.back().sigma, points.back().lambda}, out).out;
  }
  tensors.compare(solved.name + ".t_alpha_sigma_lambda", grid);

  std::vector<HostTensor> xs{tensors.input("x_T").to(DType::f32)}, estimates;
  Value x = b.upload(xs.front()), x0, previous_x0;
  const auto estimate = [&](const SolverPoint& at) {
    estimates.push_back(predict(xs.back(), at));
    return b.upload(estimates.back());
  };
  for (std::int64_t step = 0; step < solved.steps; ++step) {
    const auto i = static_cast<std::size_t>(step);
    x0 = estimate(points[i]);
    const bool last_of_few = solved.lower_order_final && solved.steps < kFewSteps && step + 1 == solved.steps;
    x = step == 0 || solved.order == 1 || last_of_few
            ? dpm_solver_step(b, x, x0, points[i], points[i + 1])
            : dpm_solver_step(b, x, x0, previous_x0, points[i - 1], points[i], points[i + 1]);
    previous_x0 = x0;
    xs.push_back(b.download(x));
  }
  if (solved.denoise) {
    estimate(points.back());
    xs.push_back(estimates.back());
  }
  tensors.compare(solved.name + ".x", stacked(xs));
  tensors.compare(solved.name + ".x0hat", stacked(estimates));
  tensors.compare(solved.name + ".final", xs.back());
}

}  // namespace

GoldenReport verify_dpm_solver(const std::filesystem::path& folder, Backend& backend) {
  constexpr std::size_t kMaxCases = 10'000;
  GoldenReport report;
  const SafetensorsFile file = SafetensorsFile::open(folder / "golden.safetensors");
  const auto tolerance = [&file](const std::string& name) {
    return Tolerance{kSolverTolerance * largest_magnitude(file.tensor(name))};
  };
  GoldenTensors tensors(file, tolerance, report);
  const MixturePredictor predict(tensors);
  const JsonReader json = JsonReader::open(folder / "golden.json");
  for (const JsonReader& entry : json.get_objects("cases", kMaxCases)) {
    const Case solved(entry);
    report.part(solved.name, [&] { verify_case(solved, predict, backend, tensors); });
  }
  tensors.finish();
  return report;
}

}  // namespace capdiff
