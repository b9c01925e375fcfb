#include "capdiff/evaluation/caption_matching.h"

#include "tests/support/expect_error.h"

namespace capdiff {
namespace {

using test::expect_error;

const std::vector<ReferenceCaptions> kReferences{{"1", "val/a.jpg", {"a"}},
                                                 {"2", "val/b.jpg", {"b", "c"}},
                                                 {"3", "train/b.jpg", {"d"}},
                                                 {"x/y.jpg", "x/y.jpg", {"e"}}};

CaptionResult by_id(const std::string& id) {
  return {id, "", "caption of " + id, {"c1", "c2"}, ""};
}
CaptionResult by_file(const std::string& file) {
  return {"", file, "caption of " + file, {}, ""};
}

TEST(CaptionMatching, ById) {
  const auto matched =
      match_captions(std::span(kReferences).first(2), std::vector{by_id("2"), by_id("1")}, Coverage::equal);
  ASSERT_EQ(matched.captions.size(), 2u);
  EXPECT_EQ(matched.captions[0].id, "1");  // the order of the references
  EXPECT_EQ(matched.captions[0].candidate, "caption of 1");
  EXPECT_EQ(matched.captions[1].references, (std::vector<std::string>{"b", "c"}));
  EXPECT_EQ(matched.captions[1].candidates.size(), 2u);
}

TEST(CaptionMatching, ByFile) {
  const std::vector<CaptionResult> results{by_file("/photos/a.jpg"), by_file("val/b.jpg"), by_file("train/b.jpg"),
                                           by_file("x/y.jpg")};
  const auto matched = match_captions(kReferences, results, Coverage::equal);
  for (std::size_t i = 0; i < results.size(); ++i) EXPECT_EQ(matched.captions[i].candidate, results[i].caption);
  expect_error(ErrorCode::invalid_input, "elsewhere/b.jpg: several images",
               [] { match_captions(kReferences, std::vector{by_file("elsewhere/b.jpg")}, Coverage::partial); });
}

TEST(CaptionMatching, DifferentImagesAreAnErrorUnlessPartial) {
  const auto expect_refused = [](const std::string& part, const std::vector<CaptionResult>& results) {
    expect_error(ErrorCode::invalid_input, part,
                 [&] { match_captions(std::span(kReferences).first(2), results, Coverage::equal); });
  };
  expect_refused("1 of 2 images with references have no result: 2", {by_id("1")});
  expect_refused("1 results are about images without references: 9", {by_id("1"), by_id("2"), by_id("9")});
  const auto partial = match_captions(kReferences, std::vector{by_id("1"), by_id("8"), by_id("9")}, Coverage::partial);
  EXPECT_EQ(partial.captions.size(), 1u);
  EXPECT_EQ(partial.without_caption, 3u);
  EXPECT_EQ(partial.without_references, 2u);
}

TEST(CaptionMatching, RefusesDoublesAndNothing) {
  const auto expect_refused = [](const std::string& part, const std::vector<CaptionResult>& results) {
    expect_error(ErrorCode::invalid_input, part, [&] { match_captions(kReferences, results, Coverage::partial); });
  };
  expect_refused("two captions of image 1", {by_id("1"), by_id("1")});
  expect_refused("two captions of image 1", {by_id("1"), by_file("a.jpg")});
  expect_refused("no result is about", {by_id("9")});
  expect_refused("no result is about", {});
  expect_error(ErrorCode::invalid_input, "image 1 twice", [] {
    match_captions(std::vector{kReferences[0], kReferences[0]}, std::vector{by_id("1")}, Coverage::equal);
  });
}

}  // namespace
}  // namespace capdiff
