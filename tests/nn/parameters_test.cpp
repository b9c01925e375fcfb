#include "capdiff/nn/parameters.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace capdiff {
namespace {

TEST(ParameterStore, KnowsWhatModelsHaveGot) {
  ParameterStore store;
  store.add("a.weight", HostTensor::of({2}, {1.0f, 2.0f}));
  store.add("idle", HostTensor::scalar(1.0f));
  EXPECT_TRUE(store.used().empty());
  EXPECT_EQ((Scope(store) / "a").get("weight", {2}, Init::zeros()).value.values<float>()[1], 2.0f);
  test::expect_error(ErrorCode::invalid_model, "[3]", [&] { store.get("a.weight", {3}, Init::zeros()); });
  test::expect_error(ErrorCode::invalid_model, "missing", [&] { store.get("missing", {1}, Init::zeros()); });
  EXPECT_EQ(store.used(), (std::map<std::string, Shape>{{"a.weight", {2}}}));
}

TEST(ParameterStore, InitialisesByNameAndSeed) {
  ParameterStore store, other;
  store.initialise_missing(1);
  other.initialise_missing(2);
  const auto first = [](const ParameterStore& from, const char* name) {
    return from.get(name, {4}, Init::normal(0.5f)).value.values<float>()[0];
  };
  EXPECT_EQ(first(store, "w"), first(store, "w"));
  EXPECT_NE(first(store, "w"), first(store, "v"));
  EXPECT_NE(first(store, "w"), first(other, "w"));
}

}  // namespace
}  // namespace capdiff
