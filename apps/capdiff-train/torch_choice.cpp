#include "apps/capdiff/make_backend.h"
#include "capdiff/backends/torch/inference_backend.h"

namespace capdiff::app {

std::unique_ptr<Backend> make_backend(const BackendOptions& options, const std::string& device) {
  return make_torch_inference_backend(options, device == "cuda");
}

}  // namespace capdiff::app
