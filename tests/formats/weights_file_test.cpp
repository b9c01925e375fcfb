#include "capdiff/formats/weights_file.h"

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/torch_file.h"

namespace capdiff {
namespace {

using test::expect_error;
using test::TemporaryFolder;
using ::testing::ElementsAre;

TEST(WeightsFile, TellsFormatsApartByTheirContents) {
  const TemporaryFolder folder;
  const std::map<std::string, HostTensor> tensors{{"w", HostTensor::of({2, 2}, {1, 2, 3, 4})},
                                                  {"b", HostTensor::of({2}, {5, 6}).to(DType::f16)}};
  write_safetensors(folder.path() / "safetensors.bin", tensors);
  folder.write("zip.safetensors", test::torch_zip(tensors));
  folder.write("legacy.zip", test::torch_legacy(tensors));
  for (const char* name : {"safetensors.bin", "zip.safetensors", "legacy.zip"}) {
    const WeightsFile file = WeightsFile::open(folder.path() / name);
    EXPECT_EQ(file.name(), (folder.path() / name).string());
    ASSERT_EQ(file.entries().size(), 2u) << name;
    EXPECT_EQ(file.entries().at("b").dtype, DType::f16);
    EXPECT_EQ(file.entries().at("w").shape, (Shape{2, 2}));
    EXPECT_TRUE(file.contains("w"));
    const HostTensor tensor = file.tensor("w");
    file.forget_pages();
    EXPECT_THAT(tensor.values<float>(), ElementsAre(1, 2, 3, 4)) << name;
    expect_error(ErrorCode::not_found, "\"x\"", [&] { file.tensor("x"); });
  }
}

TEST(WeightsFile, RefusesOtherFiles) {
  const TemporaryFolder folder;
  for (const char* contents : {"", "PK", "hello, this is a letter", "{\"json\": true}"})
    expect_error(ErrorCode::invalid_model, "neither a safetensors file nor a torch checkpoint",
                 [&] { WeightsFile::open(folder.write("file", contents)); });
  expect_error(ErrorCode::not_found, "missing", [&] { WeightsFile::open(folder.path() / "missing"); });
}

}  // namespace
}  // namespace capdiff
