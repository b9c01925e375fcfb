#include "capdiff/image/exif.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "capdiff/image/decode.h"
#include "tests/image/pictures.h"

namespace capdiff {
namespace {

using test::Bytes;

constexpr std::uint16_t kTag = 0x0112, kShort = 3, kLong = 4;

TEST(Exif, ReadsAllOrientationsInBothByteOrders) {
  for (unsigned value = 1; value <= 8; ++value)
    for (const bool little : {true, false}) {
      EXPECT_EQ(exif_orientation(test::tiff_with(kTag, kShort, value, little)), static_cast<Orientation>(value));
      EXPECT_EQ(exif_orientation(test::tiff_with(kTag, kLong, value, little)), static_cast<Orientation>(value));
    }
}

TEST(Exif, IgnoresWhatIsNotAnOrientation) {
  for (const unsigned value : {0u, 9u, 0x0103u})
    EXPECT_EQ(exif_orientation(test::orientation_tiff(value)), Orientation::top_left);
  EXPECT_EQ(exif_orientation(test::tiff_with(0x0100, kShort, 6, true)), Orientation::top_left);
  EXPECT_EQ(exif_orientation(test::tiff_with(kTag, 2, 6, true)), Orientation::top_left);
  EXPECT_EQ(exif_orientation({}), Orientation::top_left);
  EXPECT_EQ(exif_orientation(test::bytes_of("no TIFF structure at all")), Orientation::top_left);
}

TEST(Exif, StaysWithinTruncatedAndLyingStructures) {
  const Bytes tiff = test::orientation_tiff(6);
  constexpr std::size_t kValueEnd = 8 + 2 + 8 + 2;
  for (std::size_t length = 0; length <= tiff.size(); ++length) {
    const Bytes cut = test::prefix(tiff, length);
    EXPECT_EQ(exif_orientation(cut), length < kValueEnd ? Orientation::top_left : Orientation::right_top) << length;
  }
  Bytes far = tiff;
  for (std::size_t i = 4; i < 8; ++i) far[i] = std::byte{0xff};  // the directory's place
  EXPECT_EQ(exif_orientation(far), Orientation::top_left);
  Bytes many = test::tiff_with(0x0100, kShort, 6, true);
  many[8] = many[9] = std::byte{0xff};  // 65535 entries in a structure with room for one
  EXPECT_EQ(exif_orientation(many), Orientation::top_left);
}

TEST(Exif, FindsTheSegmentBehindOthers) {
  const Bytes tiff = test::orientation_tiff(3);
  const Bytes jpeg = test::with_exif(test::encode_jpeg(test::gradients(8, 8)), tiff);
  const auto same = [&](const Bytes& file) { return std::ranges::equal(find_jpeg_exif(file), tiff); };
  EXPECT_TRUE(same(jpeg));
  const auto start = std::span(jpeg).first(2), rest = std::span(jpeg).subspan(2);
  const Bytes xmp = test::bytes_of(std::string_view("\xff\xe1\0\x09http://", 11));
  EXPECT_TRUE(same(test::joined({start, xmp, rest})));
  EXPECT_TRUE(same(test::joined({start, Bytes{std::byte{0xff}}, rest}))) << "a fill byte";
  EXPECT_TRUE(find_jpeg_exif(test::encode_jpeg(test::gradients(8, 8))).empty());
}

TEST(Exif, StaysWithinTruncatedFiles) {
  const Bytes jpeg = test::with_exif(test::encode_jpeg(test::gradients(8, 8)), test::orientation_tiff(3));
  const std::size_t segment_end = 2 + 4 + 6 + test::orientation_tiff(3).size();
  for (std::size_t length = 0; length < segment_end; ++length) {
    const Bytes cut = test::prefix(jpeg, length);
    EXPECT_TRUE(find_jpeg_exif(cut).empty()) << length;
  }
}

/// Row 0 of the stored picture is the side that the orientation's name begins with, column 0 the other. Built from that
/// definition, independently of how `turn_upright` walks.
Image stored_as(const Image& upright, Orientation orientation) {
  const bool transposed = orientation >= Orientation::left_top;
  Image stored = transposed ? Image(upright.height, upright.width) : Image(upright.width, upright.height);
  const bool row_zero_last = orientation == Orientation::bottom_right || orientation == Orientation::bottom_left ||
                             orientation == Orientation::right_top || orientation == Orientation::right_bottom;
  const bool column_zero_last = orientation == Orientation::top_right || orientation == Orientation::bottom_right ||
                                orientation == Orientation::right_bottom || orientation == Orientation::left_bottom;
  for (int row = 0; row < stored.height; ++row)
    for (int column = 0; column < stored.width; ++column) {
      const int a = row_zero_last ? stored.height - 1 - row : row;
      const int b = column_zero_last ? stored.width - 1 - column : column;
      const int x = transposed ? a : b, y = transposed ? b : a;
      for (int c = 0; c < 3; ++c)
        stored.row(row)[static_cast<std::size_t>(3 * column + c)] = upright.row(y)[static_cast<std::size_t>(3 * x + c)];
    }
  return stored;
}

class ExifOrientation : public testing::TestWithParam<int> {};

TEST_P(ExifOrientation, TurnsPicturesUpright) {
  const auto orientation = static_cast<Orientation>(GetParam());
  for (const Image& upright : {test::synthetic(5, 3), test::synthetic(1, 4), test::synthetic(4, 1)})
    EXPECT_EQ(turn_upright(stored_as(upright, orientation), orientation), upright);
}

TEST_P(ExifOrientation, IsAppliedToJpegUnlessAskedNot) {
  const auto orientation = static_cast<Orientation>(GetParam());
  const Bytes plain = test::encode_jpeg(stored_as(test::gradients(40, 24), orientation));
  const Image stored = decode(plain, "plain.jpg");
  const Bytes tagged = test::with_exif(plain, test::orientation_tiff(static_cast<unsigned>(GetParam())));

  const Image upright = decode(tagged, "tagged.jpg");
  ASSERT_EQ(upright.width, 40);
  ASSERT_EQ(upright.height, 24);
  const Image expected = test::gradients(40, 24);
  int worst = 0;
  for (std::size_t i = 0; i < expected.rgb.size(); ++i)
    worst = std::max(worst, std::abs(int{upright.rgb[i]} - int{expected.rgb[i]}));
  EXPECT_LE(worst, 6);
  EXPECT_EQ(decode(tagged, "tagged.jpg", {.apply_exif_orientation = false}), stored);
}

INSTANTIATE_TEST_SUITE_P(All, ExifOrientation, testing::Range(1, 9));

}  // namespace
}  // namespace capdiff
