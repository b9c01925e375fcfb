#include "capdiff/training/optimizer.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "capdiff/base/error.h"

// GCC turns loops of unknown length into SIMD code only at -O3; that of `update` also needs -fno-math-errno.
#if defined(__GNUC__) && !defined(__clang__)
#define CAPDIFF_VECTORISE __attribute__((optimize("O3")))
#else
#define CAPDIFF_VECTORISE
#endif

namespace capdiff {
namespace {

/// The numbers of one update of one tensor; rounded to f32 once, as LibTorch does.
struct Coefficients {
  float gradient_scale;
  float keep;  // 1 − lr · weight_decay
  float beta1, one_minus_beta1;
  float beta2, one_minus_beta2;
  float root_correction2;  // sqrt(1 − beta2^k)
  float epsilon;
  float step_size;  // lr / (1 − beta1^k)

  Coefficients(const AdamWOptions& options, std::int64_t k, double learning_rate, double scale)
      : gradient_scale(static_cast<float>(scale)),
        keep(static_cast<float>(1.0 - learning_rate * options.weight_decay)),
        beta1(static_cast<float>(options.beta1)),
        one_minus_beta1(static_cast<float>(1.0 - options.beta1)),
        beta2(static_cast<float>(options.beta2)),
        one_minus_beta2(static_cast<float>(1.0 - options.beta2)),
        root_correction2(static_cast<float>(std::sqrt(1.0 - std::pow(options.beta2, k)))),
        epsilon(static_cast<float>(options.epsilon)),
        step_size(static_cast<float>(learning_rate / (1.0 - std::pow(options.beta1, k)))) {}
};

CAPDIFF_VECTORISE void update(float* __restrict p, float* __restrict m, float* __restrict v, const float* __restrict g,
                              std::int64_t count, const Coefficients c) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float gradient = g[i] * c.gradient_scale;
    m[i] = c.beta1 * m[i] + c.one_minus_beta1 * gradient;
    v[i] = c.beta2 * v[i] + c.one_minus_beta2 * gradient * gradient;
    const float denominator = std::sqrt(v[i]) / c.root_correction2 + c.epsilon;
    p[i] = c.keep * p[i] - c.step_size * (m[i] / denominator);
  }
}

CAPDIFF_VECTORISE double sum_of_squares(const float* values, std::int64_t count) {
  // Independent sums, so that the compiler may use SIMD without reordering.
  constexpr int kLanes = 8;
  double sums[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const double value = values[i + lane];
      sums[lane] += value * value;
    }
  }
  for (; i < count; ++i) sums[0] += static_cast<double>(values[i]) * values[i];
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace

AdamW::AdamW(NamedTensors parameters, AdamWOptions options)
    : AdamW(parameters, options, all_on_cpu(parameters) ? Kernel::fused : Kernel::foreach) {}

AdamW::AdamW(NamedTensors parameters, AdamWOptions options, Kernel kernel)
    : parameters_(std::move(parameters)),
      options_(options),
      kernel_(kernel),
      pieces_(cut_into_pieces(parameters_)),
      steps_(parameters_.size(), 0) {
  assert(kernel == Kernel::foreach || all_on_cpu(parameters_));
  for (const auto& [name, parameter] : parameters_) {
    assert(parameter.is_contiguous() && parameter.scalar_type() == torch::kFloat32);
    exp_avg_.push_back(torch::zeros_like(parameter).detach());
    exp_avg_sq_.push_back(torch::zeros_like(parameter).detach());
    rates_.push_back(options_.rate ? options_.rate(name) : 1.0);
  }
}

void AdamW::zero_gradients() {
  for (auto& [name, parameter] : parameters_) parameter.mutable_grad().reset();
}

double AdamW::gradient_norm() const {
  if (kernel_ == Kernel::foreach) {
    std::vector<torch::Tensor> gradients;
    for (const auto& [name, parameter] : parameters_) {
      if (parameter.grad().defined()) gradients.push_back(parameter.grad());
    }
    return gradients.empty() ? 0.0 : torch::stack(at::_foreach_norm(gradients)).norm().item<double>();
  }
  std::vector<torch::Tensor> gradients(parameters_.size());
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const torch::Tensor& gradient = parameters_[i].second.grad();
    if (gradient.defined()) gradients[i] = gradient.contiguous();
  }
  std::vector<double> sums(pieces_.size(), 0.0);
  for_each_piece(pieces_, [&](std::size_t i) {
    const Piece& piece = pieces_[i];
    if (!gradients[piece.tensor].defined()) return;
    sums[i] = sum_of_squares(gradients[piece.tensor].data_ptr<float>() + piece.begin, piece.end - piece.begin);
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return std::sqrt(total);
}

void AdamW::step(double learning_rate, double gradient_scale) {
  torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (parameters_[i].second.grad().defined()) ++steps_[i];
  }
  kernel_ == Kernel::fused ? step_fused(learning_rate, gradient_scale) : step_foreach(learning_rate, gradient_scale);
}

void AdamW::step_fused(double learning_rate, double gradient_scale) {
  struct Job {
    float *p = nullptr, *m = nullptr, *v = nullptr;
    const float* g = nullptr;
    torch::Tensor gradient;  // keeps `g` alive where it is a copy
    Coefficients coefficients;
  };
  std::vector<Job> jobs;
  jobs.reserve(parameters_.size());
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    torch::Tensor& parameter = parameters_[i].second;
    Job& job = jobs.emplace_back(
        Job{parameter.data_ptr<float>(), exp_avg_[i].data_ptr<float>(), exp_avg_sq_[i].data_ptr<float>(), nullptr,
            parameter.grad(),
            Coefficients(options_, std::max<std::int64_t>(1, steps_[i]), learning_rate * rates_[i], gradient_scale)});
    if (!job.gradient.defined()) continue;
    job.gradient = job.gradient.contiguous();
    job.g = job.gradient.data_ptr<float>();
  }
  for_each_piece(pieces_, [&](std::size_t i) {
    const Piece& piece = pieces_[i];
    const Job& job = jobs[piece.tensor];
    if (job.g == nullptr) return;
    update(job.p + piece.begin, job.m + piece.begin, job.v + piece.begin, job.g + piece.begin, piece.end - piece.begin,
           job.coefficients);
  });
}

void AdamW::step_foreach(double learning_rate, double gradient_scale) {
  std::vector<torch::Tensor> p, m, v, g;
  std::vector<torch::Scalar> keeps, root_corrections2, step_sizes;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const torch::Tensor& gradient = parameters_[i].second.grad();
    if (!gradient.defined()) continue;
    p.push_back(parameters_[i].second);
    m.push_back(exp_avg_[i]);
    v.push_back(exp_avg_sq_[i]);
    g.push_back(gradient);
    root_corrections2.emplace_back(std::sqrt(1.0 - std::pow(options_.beta2, steps_[i])));
    keeps.emplace_back(1.0 - learning_rate * rates_[i] * options_.weight_decay);
    step_sizes.emplace_back(-learning_rate * rates_[i] / (1.0 - std::pow(options_.beta1, steps_[i])));
  }
  if (p.empty()) return;
  if (gradient_scale != 1.0) g = at::_foreach_mul(g, gradient_scale);
  at::_foreach_mul_(p, keeps);
  at::_foreach_mul_(m, options_.beta1);
  at::_foreach_add_(m, g, 1.0 - options_.beta1);
  at::_foreach_mul_(v, options_.beta2);
  at::_foreach_addcmul_(v, g, g, 1.0 - options_.beta2);
  std::vector<torch::Tensor> denominators = at::_foreach_sqrt(v);
  at::_foreach_div_(denominators, root_corrections2);
  at::_foreach_add_(denominators, options_.epsilon);
  at::_foreach_addcdiv_(p, m, denominators, step_sizes);
}

std::map<std::string, HostTensor> AdamW::state() const {
  std::map<std::string, HostTensor> state;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const std::string& name = parameters_[i].first;
    state["exp_avg/" + name] = host_view(exp_avg_[i]);
    state["exp_avg_sq/" + name] = host_view(exp_avg_sq_[i]);
    state["step/" + name] = HostTensor::of({1}, std::vector<std::int64_t>{steps_[i]});
  }
  return state;
}

void AdamW::load_state(const SafetensorsFile& file) {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const std::string& name = parameters_[i].first;
    load_into(exp_avg_[i], file, "exp_avg/" + name);
    load_into(exp_avg_sq_[i], file, "exp_avg_sq/" + name);
    const HostTensor step = file.tensor("step/" + name, Shape{1});
    if (step.dtype() != DType::i64 || step.values<std::int64_t>()[0] < 0) {
      fail(ErrorCode::invalid_model, "{}: step/{} must be a count of type I64", file.name(), name);
    }
    steps_[i] = step.values<std::int64_t>()[0];
  }
}

}  // namespace capdiff
