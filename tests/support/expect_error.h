#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "capdiff/base/error.h"

namespace capdiff::test {

/// Expects `action` to throw `Error` with this code and a message that contains `part`. Returns the message.
template <class Action>
std::string expect_error(ErrorCode code, const std::string& part, Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), ::testing::HasSubstr(part));
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "threw something that is not an Error: " << error.what();
    return {};
  }
  ADD_FAILURE() << "no Error was thrown; expected one about: " << part;
  return {};
}

}  // namespace capdiff::test
