#include "capdiff/formats/model_places.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "tests/support/temporary_folder.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

void put_model(const fs::path& folder) {
  fs::create_directories(folder);
  std::ofstream(folder / "config.json") << "{}";
}

TEST(ModelPlaces, AreTheBuildTreeThenThePrefix) {
  const TemporaryFolder root;
  const ModelPlaces program{"default", "CAPDIFF_TEST_NO_MODEL", root.path() / "bin/capdiff"};
  const ModelPlaces library{"default", "CAPDIFF_TEST_NO_MODEL", root.path() / "lib/arch/libcapdiff.so"};
  EXPECT_THAT(program.listed(), HasSubstr((root.path() / "share/capdiff/models/default").string()));
  put_model(root.path() / "share/capdiff/models/default");
  EXPECT_EQ(program.find(), root.path() / "share/capdiff/models/default");
  EXPECT_EQ(library.find(), root.path() / "share/capdiff/models/default");
  put_model(root.path() / "models/default");
  EXPECT_EQ(program.find(), root.path() / "models/default");
}

TEST(ModelPlaces, TheVariableComesFirstWhateverItNames) {
  const TemporaryFolder root;
  put_model(root.path() / "models/default");
  ::setenv("CAPDIFF_TEST_MODEL", "/no/such/folder", 1);
  EXPECT_EQ((ModelPlaces{"default", "CAPDIFF_TEST_MODEL", root.path() / "bin/capdiff"}.find()), "/no/such/folder");
  ::setenv("CAPDIFF_TEST_MODEL", "", 1);
  EXPECT_EQ((ModelPlaces{"default", "CAPDIFF_TEST_MODEL", root.path() / "bin/capdiff"}.find()),
            root.path() / "models/default");
}

}  // namespace
}  // namespace capdiff::test
