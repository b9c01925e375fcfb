#include "apps/capdiff/make_backend.h"

namespace capdiff::app {

std::unique_ptr<Backend> make_backend(const BackendOptions& options, const std::string& /*device*/) {
  return make_onednn_backend(options);
}

}  // namespace capdiff::app
