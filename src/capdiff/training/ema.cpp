#include "capdiff/training/ema.h"

#include <algorithm>

namespace capdiff {

MovingAverage::MovingAverage(NamedTensors parameters, double decay, bool warm_up)
    : parameters_(std::move(parameters)),
      decay_(decay),
      warm_up_(warm_up),
      on_cpu_(all_on_cpu(parameters_)),
      pieces_(cut_into_pieces(parameters_)) {
  for (const auto& [name, parameter] : parameters_) averages_.push_back(parameter.detach().clone());
}

void MovingAverage::update(std::int64_t step) {
  torch::NoGradGuard no_grad;
  const double k = static_cast<double>(step);
  const double rate = 1.0 - (warm_up_ ? std::min(decay_, (1.0 + k) / (10.0 + k)) : decay_);
  if (!on_cpu_) {
    std::vector<torch::Tensor> values;
    for (const auto& [name, parameter] : parameters_) values.push_back(parameter);
    at::_foreach_mul_(averages_, 1.0 - rate);
    at::_foreach_add_(averages_, values, rate);
    return;
  }
  const auto weight = static_cast<float>(rate);
  std::vector<const float*> values(parameters_.size());
  std::vector<float*> averages(parameters_.size());
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    values[i] = parameters_[i].second.data_ptr<float>();
    averages[i] = averages_[i].data_ptr<float>();
  }
  for_each_piece(pieces_, [&](std::size_t i) {
    const Piece& piece = pieces_[i];
    const float* value = values[piece.tensor];
    float* average = averages[piece.tensor];
    for (std::int64_t j = piece.begin; j < piece.end; ++j) average[j] += weight * (value[j] - average[j]);
  });
}

void MovingAverage::swap() {
  torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < averages_.size(); ++i) {
    const torch::Tensor weight = parameters_[i].second.clone();
    parameters_[i].second.copy_(averages_[i]);
    averages_[i].copy_(weight);
  }
}

void MovingAverage::copy_to_parameters() {
  torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < averages_.size(); ++i) parameters_[i].second.copy_(averages_[i]);
}

std::map<std::string, HostTensor> MovingAverage::state() const {
  std::map<std::string, HostTensor> state;
  for (std::size_t i = 0; i < averages_.size(); ++i) state[parameters_[i].first] = host_view(averages_[i]);
  return state;
}

void MovingAverage::load_state(const SafetensorsFile& file) {
  for (std::size_t i = 0; i < averages_.size(); ++i) load_into(averages_[i], file, parameters_[i].first);
}

}  // namespace capdiff
