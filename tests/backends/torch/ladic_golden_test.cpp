#include "tests/support/ladic_golden.h"

#include <gtest/gtest.h>

#include "capdiff/backends/torch/torch_backend.h"

namespace capdiff::test {
namespace {

TEST(LadicGolden, PaperForwardOnTorch) {
  const auto backend = make_torch_backend({});
  check_ladic_paper_forward(std::filesystem::path(CAPDIFF_SOURCE_DIR) / "tests/data/ladic_tiny", *backend);
}

}  // namespace
}  // namespace capdiff::test
