#include "capdiff/training/starting_point.h"

#include <gtest/gtest.h>

#include <array>

#include "capdiff/formats/safetensors.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff::test {
namespace {

class StartingPointTest : public testing::Test {
 protected:
  StartingPointTest() {
    for (const char* folder : {"whole", "vit"}) std::filesystem::create_directories(folder_.path() / folder);
    std::map<std::string, HostTensor> tensors;
    float value = 0;
    for (const char* name : {"visual_encoder.x", "space_encoder.encoder.layer.0.x", "space_encoder.encoder.layer.1.x",
                             "space_decoder.encoder.layer.2.x", "lm_head.x", "diffuser.x", "time_layer_norm.x"})
      tensors.emplace(name, HostTensor::scalar(++value));
    write_safetensors(folder_.path() / "whole/model.safetensors", tensors);
    write_safetensors(folder_.path() / "vit/image_encoder.safetensors", {{"visual_encoder.x", HostTensor::scalar(50)}});
  }

  StartingPoint from(const std::string& table) const {
    return StartingPoint::of(Recipe::load(folder_.write("recipe.toml", "[from]\n" + table)));
  }
  std::string folder(const char* name) const { return '"' + (folder_.path() / name).string() + '"'; }

  TemporaryFolder folder_;
};

float value_of(const ParameterStore& parameters, const std::string& name) {
  return parameters.get(name, Shape{}, Init::zeros()).value.values<float>()[0];
}

TEST_F(StartingPointTest, AModelIsAllItsParts) {
  ParameterStore parameters;
  from("model = " + folder("whole")).add_to(parameters, 2);
  for (const char* name : {"visual_encoder.x", "space_decoder.encoder.layer.2.x", "diffuser.x", "time_layer_norm.x"})
    EXPECT_TRUE(parameters.contains(name)) << name;
}

TEST_F(StartingPointTest, PartsCanComeFromElsewhereOrBeLeftOut) {
  ParameterStore parameters;
  from("model = " + folder("whole") + "\ndiffuser = \"\"\nimage_encoder = " + folder("vit")).add_to(parameters, 2);
  EXPECT_FALSE(parameters.contains("diffuser.x"));
  EXPECT_FALSE(parameters.contains("time_layer_norm.x"));
  EXPECT_EQ(value_of(parameters, "visual_encoder.x"), 50.0f);
  EXPECT_EQ(value_of(parameters, "lm_head.x"), 5.0f);
}

TEST_F(StartingPointTest, TheImageEncoderCanBeThatOfAClip) {
  std::filesystem::create_directories(folder_.path() / "clip");
  write_safetensors(folder_.path() / "clip/model.safetensors",
                    {{"visual.encoder.x", HostTensor::scalar(60)}, {"visual.proj", HostTensor::scalar(61)}});
  ParameterStore parameters;
  from("image_encoder = " + folder("clip")).add_to(parameters, 2);
  EXPECT_EQ(value_of(parameters, "visual_encoder.x"), 60.0f);
  EXPECT_FALSE(parameters.contains("visual.proj"));
}

TEST_F(StartingPointTest, LayersMoveWithTheSplit) {
  ParameterStore parameters;
  from("text = " + folder("whole")).add_to(parameters, 1);
  EXPECT_TRUE(parameters.contains("space_encoder.encoder.layer.0.x"));
  EXPECT_EQ(value_of(parameters, "space_decoder.encoder.layer.1.x"), 3.0f);
  EXPECT_EQ(value_of(parameters, "space_decoder.encoder.layer.2.x"), 4.0f);
  EXPECT_FALSE(parameters.contains("space_encoder.encoder.layer.1.x"));
  EXPECT_FALSE(parameters.contains("visual_encoder.x"));
}

TEST_F(StartingPointTest, WithoutATableThereIsNothing) {
  const StartingPoint nothing = StartingPoint::of(Recipe::load(folder_.write("recipe.toml", "")));
  EXPECT_FALSE(nothing.model().has_value());
  EXPECT_FALSE(nothing.part("text").has_value());
}

TEST_F(StartingPointTest, WrongTablesAreErrors) {
  expect_error(ErrorCode::usage, "image_encoder", [&] { from("image_enocder = \"x\""); });
  ParameterStore parameters;
  expect_error(ErrorCode::not_found, "nowhere", [&] { from("text = \"/nowhere\"").add_to(parameters, 1); });
}

TEST(SplitName, LeavesOtherNamesAlone) {
  for (const char* name : {"diffuser.encoder.layer.3.x", "space_encoder.embeddings.x", "space_encoder.encoder.layer.x"})
    EXPECT_EQ(split_name(name, 2), name);
  EXPECT_EQ(split_name("space_encoder.encoder.layer.11.a.b", 6), "space_decoder.encoder.layer.11.a.b");
  EXPECT_EQ(split_name("space_decoder.encoder.layer.5.a.b", 6), "space_encoder.encoder.layer.5.a.b");
}

}  // namespace
}  // namespace capdiff::test
