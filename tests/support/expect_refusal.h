#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "capdiff/serving/api_error.h"

namespace capdiff::test {

/// Expects `action` to throw a `RequestError` of this kind, about this parameter, with a message that contains `part`.
template <class Action>
void expect_refusal(Refusal refusal, const std::string& param, const std::string& part, Action&& action) {
  try {
    action();
  } catch (const RequestError& error) {
    EXPECT_EQ(name_of(error.refusal()), name_of(refusal)) << error.what();
    EXPECT_EQ(error.param(), param) << error.what();
    EXPECT_THAT(error.what(), ::testing::HasSubstr(part));
    return;
  }
  ADD_FAILURE() << "nothing was refused; expected: " << part;
}

}  // namespace capdiff::test
