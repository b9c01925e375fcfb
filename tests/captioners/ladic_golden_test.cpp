#include "tests/support/ladic_golden.h"

#include <gtest/gtest.h>

#include "tests/support/shared.h"

namespace capdiff::test {
namespace {

TEST(LadicGolden, PaperForwardOnOneDnn) {
  const auto backend = make_onednn_backend({});
  check_ladic_paper_forward(std::filesystem::path(CAPDIFF_SOURCE_DIR) / "tests/data/ladic_tiny", *backend);
}

TEST(LadicGolden, PaperForwardOnOneDnnFromSharedFolder) {
  CAPDIFF_SHARED_OR_SKIP(folder, "goldens/ladic_tiny");
  const auto backend = make_onednn_backend({});
  check_ladic_paper_forward(folder, *backend);
}

}  // namespace
}  // namespace capdiff::test
