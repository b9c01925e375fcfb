#include "capdiff/captioners/captioner.h"

#include "capdiff/captioners/ladic.h"

namespace capdiff {

std::unique_ptr<Captioner> load_captioner(const ModelFolder& folder, Backend& backend) {
  folder.config().get_choice("model_type", {"ladic"});
  return std::make_unique<LadicCaptioner>(folder, backend);
}

}  // namespace capdiff
