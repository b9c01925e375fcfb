#include "capdiff/formats/sidecar.h"

#include <gtest/gtest.h>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

TEST(Sidecar, StandsBesideThePicture) {
  EXPECT_EQ(sidecar_of("a/b.c.jpg", "txt"), "a/b.c.txt");
  EXPECT_EQ(sidecar_of("b.JPEG", ".caption"), "b.caption");
}

TEST(Sidecar, ExistingTextIsTreatedAsAsked) {
  const auto text = [](const std::optional<std::string>& there, Existing existing) {
    return sidecar_text(there, "two dogs", existing);
  };
  for (const Existing existing :
       {Existing::skip, Existing::overwrite, Existing::append, Existing::prepend, Existing::error})
    EXPECT_EQ(text(std::nullopt, existing), "two dogs\n");
  EXPECT_EQ(text("a cat\n", Existing::skip), std::nullopt);
  EXPECT_EQ(text("a cat\n", Existing::overwrite), "two dogs\n");
  EXPECT_EQ(text("a cat\n", Existing::append), "a cat\ntwo dogs\n");
  EXPECT_EQ(text("a cat", Existing::append), "a cat\ntwo dogs\n");
  EXPECT_EQ(text("a cat\n", Existing::prepend), "two dogs\na cat\n");
  EXPECT_EQ(text(" \n", Existing::append), "two dogs\n");
}

TEST(Sidecar, ACaptionIsNeverAddedToItself) {
  EXPECT_EQ(sidecar_text("a cat\ntwo dogs\n", "two dogs", Existing::append), std::nullopt);
  EXPECT_EQ(sidecar_text("two dogs\na cat", "two dogs", Existing::prepend), std::nullopt);
  for (const Existing existing : {Existing::append, Existing::prepend})
    EXPECT_EQ(sidecar_text("a cow\ntwo dogs\na cat\n", "two dogs", existing), std::nullopt);
  EXPECT_EQ(sidecar_text("two dogs and a cow\n", "two dogs", Existing::append), "two dogs and a cow\ntwo dogs\n");
}

TEST(Sidecar, PoliciesHaveNames) {
  EXPECT_EQ(existing_of("prepend"), Existing::prepend);
  EXPECT_THROW(existing_of("replace"), Error);
}

}  // namespace
}  // namespace capdiff
