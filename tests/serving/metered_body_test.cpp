#include "capdiff/serving/metered_body.h"

#include <gtest/gtest.h>

#include <optional>

namespace capdiff::test {
namespace {

struct NoHeader {};

/// What a parser does with a body.
class Metering : public testing::Test {
 protected:
  static constexpr std::size_t kMib = std::size_t{1} << 20;

  std::size_t put(MeteredBody::value_type& body, const std::string& bytes) {
    body.allowance = &memory_;
    NoHeader header;
    return MeteredBody::reader(header, body).put(boost::asio::buffer(bytes), error_);
  }

  Allowance memory_{kMib};
  boost::system::error_code error_;
};

TEST_F(Metering, AnnouncingTakesNothing) {
  MeteredBody::value_type body;
  NoHeader header;
  MeteredBody::reader(header, body).init(std::optional<std::uint64_t>(100 * kMib), error_);
  EXPECT_FALSE(error_);
  EXPECT_EQ(memory_.taken(), 0u);
  // More than there can be is refused, and nothing is thrown.
  MeteredBody::reader(header, body).init(std::optional<std::uint64_t>(std::uint64_t{1} << 62), error_);
  EXPECT_EQ(error_, MeteredBody::no_memory());
}

TEST_F(Metering, TakesMemoryAsBytesArrive) {
  {
    MeteredBody::value_type body;
    EXPECT_EQ(put(body, "one"), 3u);
    EXPECT_EQ(put(body, "two"), 3u);
    EXPECT_EQ(memory_.taken(), MeteredBody::kPiece);
    put(body, std::string(MeteredBody::kPiece, 'x'));
    EXPECT_EQ(memory_.taken(), 2 * MeteredBody::kPiece);
    EXPECT_EQ(body.bytes, "onetwo" + std::string(MeteredBody::kPiece, 'x'));
    const MeteredBody::value_type held = std::move(body);
    EXPECT_EQ(memory_.taken(), 2 * MeteredBody::kPiece);
  }
  EXPECT_EQ(memory_.taken(), 0u);
}

TEST_F(Metering, TogetherBodiesStayWithinTheAllowance) {
  const std::string half(kMib / 2, 'x');
  MeteredBody::value_type first, second;
  put(first, half);
  put(second, half);
  EXPECT_FALSE(error_);
  EXPECT_EQ(put(first, "x"), 0u);
  EXPECT_EQ(error_, MeteredBody::no_memory());
  EXPECT_EQ(first.bytes.size(), half.size());
  second = {};
  EXPECT_EQ(put(first, half), half.size());
  EXPECT_FALSE(error_);
}

}  // namespace
}  // namespace capdiff::test
