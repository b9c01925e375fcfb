#include "capdiff/base/utf8.h"

#include <gtest/gtest.h>

namespace capdiff {
namespace {

TEST(Utf8, TellsTextFromBytes) {
  for (const char* text : {"", "plain", "\xc3\xa4", "\xf0\x9f\x90\x88"}) EXPECT_TRUE(is_utf8(text)) << text;
  for (const char* bytes : {"\xe4", "\xc3", "\xc0\xaf", "\xed\xa0\x80", "a\xff"}) EXPECT_FALSE(is_utf8(bytes)) << bytes;
}

TEST(Utf8, NothingReachesTheTerminalButText) {
  EXPECT_EQ(without_controls("a \xc3\xa4.jpg"), "a \xc3\xa4.jpg");
  EXPECT_EQ(without_controls("\x1b]0;x\a\n\x7f"), "\uFFFD]0;x\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(without_controls("\xc2\x9b"
                             "31m"),
            "\uFFFD"
            "31m");  // the same as ESC [
  EXPECT_EQ(without_controls("caf\xe9.jpg"), "caf\uFFFD.jpg");
}

}  // namespace
}  // namespace capdiff
