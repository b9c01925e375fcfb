#include "capdiff/captioners/captioner.h"

#include "capdiff/captioners/ladic.h"
#include "capdiff/captioners/prefix_diffusion.h"

namespace capdiff {

std::unique_ptr<Captioner> load_captioner(const ModelFolder& folder, Backend& backend) {
  if (folder.config().get_choice("model_type", {"ladic", "prefix-diffusion"}) == "prefix-diffusion")
    return std::make_unique<PrefixDiffusionCaptioner>(folder, backend);
  return std::make_unique<LadicCaptioner>(folder, backend);
}

}  // namespace capdiff
