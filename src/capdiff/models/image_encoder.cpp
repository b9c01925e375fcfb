#include "capdiff/models/image_encoder.h"

namespace capdiff {

Value repeat_batch(Backend& backend, const Value& value, std::int64_t count) {
  if (value.shape()[0] == count) return value;
  return backend.gather(value, backend.upload(HostTensor(DType::i64, {count})));
}

}  // namespace capdiff
