#include "capdiff/serving/base64.h"

#include <gtest/gtest.h>

#include <string>

namespace capdiff::test {
namespace {

std::optional<std::string> decoded(std::string_view text) {
  const auto bytes = decode_base64(text);
  if (!bytes) return std::nullopt;
  return std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size());
}

TEST(Base64, DecodesTheExamplesOfItsStandard) {
  EXPECT_EQ(decoded(""), "");
  EXPECT_EQ(decoded("Zg=="), "f");
  EXPECT_EQ(decoded("Zm8="), "fo");
  EXPECT_EQ(decoded("Zm9v"), "foo");
  EXPECT_EQ(decoded("Zm9vYg=="), "foob");
  EXPECT_EQ(decoded("Zm9vYmE="), "fooba");
  EXPECT_EQ(decoded("Zm9vYmFy"), "foobar");
  EXPECT_EQ(decoded("+/+/"), "\xfb\xff\xbf");
}

TEST(Base64, RefusesEverythingElse) {
  for (const char* text : {"Z", "Zg", "Zg=", "Zm9vY", "Zg===", "=", "====", "Z===", "Zg=a", "=Zg=", "Zm9v\n", "Zm 9v",
                           "Zm9-", "Zm9_", "Zh==", "Zm9=", "\xff\xff\xff\xff"})
    EXPECT_EQ(decoded(text), std::nullopt) << text;
  EXPECT_EQ(decoded(std::string("Zm9v\0m9v", 8)), std::nullopt);
}

}  // namespace
}  // namespace capdiff::test
