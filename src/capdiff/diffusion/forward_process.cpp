#include "capdiff/diffusion/forward_process.h"

namespace capdiff {

Value noised(Backend& backend, const NoiseSchedule& schedule, const Value& x0, const Value& noise,
             const HostTensor& t) {
  HostTensor signal(DType::f32, {t.numel(), 1, 1}), deviation(DType::f32, {t.numel(), 1, 1});
  for (std::size_t row = 0; row < t.values<std::int64_t>().size(); ++row) {
    const std::int64_t time = t.values<std::int64_t>()[row];
    signal.mutable_values<float>()[row] = static_cast<float>(schedule.signal(time));
    deviation.mutable_values<float>()[row] = static_cast<float>(schedule.training_noise(time));
  }
  return backend.add(backend.mul(x0, backend.upload(signal)), backend.mul(noise, backend.upload(deviation)));
}

}  // namespace capdiff
