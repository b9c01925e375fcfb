#include "capdiff/backends/torch/recorded_computation.h"
#include "capdiff/base/error.h"

#ifdef CAPDIFF_HAVE_CUDA  // LibTorch was built for CUDA
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace capdiff::torch_detail {

#ifdef CAPDIFF_HAVE_CUDA

namespace {

/// Libraries choose algorithms and take workspaces in their first calls, which a capture must not contain.
constexpr int kWarmUps = 3;

class CudaGraph final : public Recording {
 public:
  explicit CudaGraph(const std::function<torch::Tensor()>& work) {
    // A capture needs a stream of its own; both waits make its work and that of the usual stream follow each other.
    torch::cuda::synchronize();
    {
      const c10::cuda::CUDAStreamGuard side(c10::cuda::getStreamFromPool());
      for (int i = 0; i < kWarmUps; ++i) work();
      torch::cuda::synchronize();
      capture(work);
    }
    torch::cuda::synchronize();
  }

  ~CudaGraph() override {
    // Replays may be under way.
    try {
      torch::cuda::synchronize();
    } catch (const std::exception&) {  // the device is lost, and whoever uses it next is told
    }
  }
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  void replay() override { graph_.replay(); }
  const torch::Tensor& output() const override { return output_; }

 private:
  void capture(const std::function<torch::Tensor()>& work) {
    graph_.capture_begin();
    try {
      output_ = work();
    } catch (...) {
      // The stream would otherwise stay in capture; that the capture is broken is no news.
      try {
        graph_.capture_end();
      } catch (const std::exception&) {
      }
      throw;
    }
    graph_.capture_end();
  }

  // The output's memory belongs to the graph's pool.
  at::cuda::CUDAGraph graph_;
  torch::Tensor output_;
};

}  // namespace

std::unique_ptr<Recording> make_cuda_graph(const std::function<torch::Tensor()>& work) {
  return std::make_unique<CudaGraph>(work);
}

#else

std::unique_ptr<Recording> make_cuda_graph(const std::function<torch::Tensor()>&) {
  fail(ErrorCode::unsupported, "this build of LibTorch has no CUDA graphs");
}

#endif

}  // namespace capdiff::torch_detail
