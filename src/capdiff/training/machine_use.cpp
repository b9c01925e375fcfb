#include "capdiff/training/machine_use.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <utility>

#ifdef CAPDIFF_HAVE_CUDA  // LibTorch was built for CUDA
#include <c10/cuda/CUDACachingAllocator.h>
#endif

namespace capdiff {
namespace {

/// The best of a few products; what is read of the result makes a device finish it.
double measured_matrix_rate(torch::Device device, at::ScalarType type) {
  constexpr int kTries = 4;
  constexpr double kEnough = 0.5;  // seconds
  const torch::NoGradGuard frozen;
  const std::int64_t size = device.is_cpu() ? 1024 : 8192;
  const double operations = 2.0 * static_cast<double>(size) * static_cast<double>(size) * static_cast<double>(size);
  const torch::Tensor a = torch::full({size, size}, 0.5, torch::dtype(type).device(device));
  const auto begin = std::chrono::steady_clock::now();
  double rate = 0;
  for (int i = 0; i < kTries; ++i) {
    const auto start = std::chrono::steady_clock::now();
    torch::matmul(a, a)[0][0].item<float>();
    const auto end = std::chrono::steady_clock::now();
    rate = std::max(rate, operations / std::max(1e-9, std::chrono::duration<double>(end - start).count()));
    if (std::chrono::duration<double>(end - begin).count() > kEnough) break;
  }
  return rate;
}

}  // namespace

double matrix_rate(const TorchBackend& backend) {
  static std::mutex mutex;
  static std::map<std::pair<std::string, at::ScalarType>, double> rates;
  const at::ScalarType type = backend.options().compute == DType::bf16 ? at::kBFloat16 : at::kFloat;
  const std::lock_guard lock(mutex);
  double& rate = rates[{backend.device().str(), type}];
  if (rate == 0) rate = measured_matrix_rate(backend.device(), type);
  return rate;
}

double peak_memory([[maybe_unused]] torch::Device device) {
#ifdef CAPDIFF_HAVE_CUDA
  if (device.is_cuda()) {
    const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(device.has_index() ? device.index() : 0);
    return static_cast<double>(stats.allocated_bytes[0].peak);
  }
#endif
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return 1024.0 * static_cast<double>(usage.ru_maxrss);
}

}  // namespace capdiff
