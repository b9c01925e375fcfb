#include "capdiff/diffusion/guidance.h"

namespace capdiff {

Value guide(Backend& backend, const Value& both, double guidance) {
  const std::int64_t rows = both.shape()[0] / 2;
  const Value conditional = backend.slice(both, 0, 0, rows);
  const Value unconditional = backend.slice(both, 0, rows, 2 * rows);
  return backend.scale_add(static_cast<float>(1.0 + guidance), conditional, static_cast<float>(-guidance),
                           unconditional);
}

}  // namespace capdiff
