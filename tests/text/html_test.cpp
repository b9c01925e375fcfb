#include "capdiff/text/html.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "capdiff/text/html_entities.h"

namespace capdiff {
namespace {

TEST(UnescapeHtml, ReplacesNames) {
  EXPECT_EQ(unescape_html("salt &amp; pepper &lt;b&gt; &quot;&eacute;&quot;"), "salt & pepper <b> \"\u00e9\"");
  EXPECT_EQ(unescape_html("&CounterClockwiseContourIntegral;&NotEqualTilde;"), "\u2233\u2242\u0338");
  EXPECT_EQ(unescape_html("&zwnj;&nbsp;"), "\u200c\u00a0");
}

TEST(UnescapeHtml, OldNamesNeedNoSemicolon) {
  EXPECT_EQ(unescape_html("a &amp b &copy2020 &ampamp;"), "a & b \u00a92020 &amp;");
  EXPECT_EQ(unescape_html("&notit; &notin; &not; &noti"),
            "\u00aci"
            "t; \u2209 \u00ac \u00aci");
  EXPECT_EQ(unescape_html("&hearts &hearts;"), "&hearts \u2665");
}

TEST(UnescapeHtml, ReplacesNumbers) {
  EXPECT_EQ(unescape_html("&#39;&#x27;&#X1f600;&#233 &#65x"), "''\U0001f600\u00e9 Ax");
  EXPECT_EQ(unescape_html("&#128;&#x9f;&#129;"), "\u20ac\u0178\u0081");
  EXPECT_EQ(unescape_html("&#0;&#xD800;&#x110000;&#99999999999999999999;"), "\ufffd\ufffd\ufffd\ufffd");
  EXPECT_EQ(unescape_html("a&#1;b&#xb;c&#x7f;d&#xfdd0;e&#x1ffff;f&#13;"), "abcdef\r");
}

TEST(UnescapeHtml, LeavesEverythingElse) {
  for (const char* text : {"", "&", "&&", "&;", "&#", "&#;", "&#x;", "&#xg;", "a & b", "&unknown;", "&l;",
                           "&\u00e9t\u00e9;", "AT&T", "&aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;"})
    EXPECT_EQ(unescape_html(text), text);
  EXPECT_EQ(unescape_html("&lt\xff"), "<\xff");
}

TEST(UnescapeHtml, OnceIsOnce) {
  EXPECT_EQ(unescape_html("&amp;lt;"), "&lt;");
  EXPECT_EQ(unescape_html(unescape_html("&amp;lt;")), "<");
}

TEST(HtmlEntities, AreThoseOfTheStandard) {
  const std::string_view entities = html_entities();
  EXPECT_EQ(std::ranges::count(entities, '='), 2125);
  EXPECT_EQ(std::ranges::count(entities, '?'), 106);
  EXPECT_EQ(std::ranges::count(entities, ' '), 2124);
}

TEST(Html, EscapesWhatWouldBeMarkup) {
  EXPECT_EQ(escape_html("a < b & \"c\" > d é"), "a &lt; b &amp; &quot;c&quot; &gt; d é");
  EXPECT_EQ(unescape_html(escape_html("&amp; <x>")), "&amp; <x>");
}

}  // namespace
}  // namespace capdiff
