#include "capdiff/diffusion/sampler.h"

#include "capdiff/base/error.h"

namespace capdiff {

std::vector<std::int64_t> ddim_times(std::int64_t steps, std::int64_t time_steps) {
  if (steps < 1 || steps > time_steps)
    fail(ErrorCode::usage, "the number of steps must lie between 1 and {}, not {}", time_steps, steps);
  std::vector<std::int64_t> times;
  for (std::int64_t i = 0; i < steps; ++i) times.push_back(time_steps - 1 - time_steps * i / steps);
  return times;
}

Value sample_ddim(Backend& backend, const NoiseSchedule& schedule, std::int64_t steps, const Value& noise,
                  const DenoiseStep& denoise, const SamplerObserver& observe) {
  const std::vector<std::int64_t> times = ddim_times(steps, schedule.time_steps());
  Value x_t = noise;
  Value x0 = backend.upload(HostTensor(DType::f32, noise.shape()));
  for (std::size_t i = 0; i < times.size(); ++i) {
    const std::int64_t t = times[i];
    x0 = denoise(x_t, x0, t);
    if (observe) observe(i, t, x_t, x0);
    if (i + 1 == times.size()) break;
    const double keep = schedule.noise(times[i + 1]) / schedule.noise(t);
    x_t = backend.scale_add(static_cast<float>(schedule.signal(times[i + 1]) - keep * schedule.signal(t)), x0,
                            static_cast<float>(keep), x_t);
  }
  return x0;
}

}  // namespace capdiff
