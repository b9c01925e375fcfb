#include "capdiff/captioners/import_blip.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "capdiff/base/files.h"
#include "capdiff/captioners/autoregressive.h"
#include "capdiff/captioners/position_grid.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_model.h"
#include "tests/support/torch_file.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;
using BlipTensors = std::map<std::string, HostTensor>;

constexpr const char* kHubConfig = R"({"model_type": "blip",
  "vision_config": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
                    "image_size": 32, "patch_size": 16, "layer_norm_eps": 1e-6},
  "text_config": {"vocab_size": 22, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
                  "intermediate_size": 32, "max_position_embeddings": 24, "bos_token_id": 20, "sep_token_id": 3}})";

std::string hub_name(std::string name) {
  const auto replace = [&](const std::string& from, const std::string& to) {
    if (const auto at = name.find(from); at != std::string::npos) name.replace(at, from.size(), to);
  };
  if (!name.starts_with("visual_encoder.")) return name;
  replace("visual_encoder.cls_token", "vision_model.embeddings.class_embedding");
  replace("visual_encoder.pos_embed", "vision_model.embeddings.position_embedding");
  replace("visual_encoder.patch_embed.proj", "vision_model.embeddings.patch_embedding");
  replace("visual_encoder.norm.", "vision_model.post_layernorm.");
  replace("visual_encoder.blocks", "vision_model.encoder.layers");
  replace(".norm1.", ".layer_norm1.");
  replace(".norm2.", ".layer_norm2.");
  replace(".attn.qkv.", ".self_attn.qkv.");
  replace(".attn.proj.", ".self_attn.projection.");
  return name;
}

/// A tiny BLIP in both published layouts.
class ImportBlip : public testing::Test {
 protected:
  void SetUp() override {
    write_tiny_autoregressive_model(tiny_);
    const SafetensorsFile file = SafetensorsFile::open(tiny_ / "model.safetensors");
    for (const std::string& name : file.names()) ours_.emplace(name, file.tensor(name));
    BlipTensors whole = ours_;
    whole.emplace("text_decoder.cls.predictions.decoder.weight",
                  ours_.at("text_decoder.bert.embeddings.word_embeddings.weight"));
    whole.emplace("text_decoder.cls.predictions.decoder.bias", ours_.at("text_decoder.cls.predictions.bias"));
    whole.emplace("text_decoder.bert.embeddings.position_ids", HostTensor(DType::i64, {1, 24}));
    for (const auto& [name, tensor] : whole) {
      salesforce_.emplace("model." + name, tensor);
      hub_.emplace(hub_name(name), tensor);
    }
    salesforce_.emplace("model.text_encoder.embeddings.x", HostTensor(DType::f32, {3}));
    salesforce_.emplace("model.visual_encoder_m.cls_token", HostTensor(DType::f32, {3}));
    std::vector<std::string> tokens = read_vocabulary_lines(tiny_ / "vocab.txt");
    tokens.resize(20);  // BERT's
    write_vocabulary_lines(folder_.path() / "vocab.txt", tokens);
    fs::create_directories(folder_.path() / "hub");
  }

  void import_salesforce(const BlipTensors& tensors) {
    from_.weights = folder_.write("blip.pth", torch_zip(tensors));
    if (!from_.vocabulary) from_.vocabulary = folder_.path() / "vocab.txt";
    if (!from_.text_heads) from_.image_heads = from_.text_heads = 2;
    import_blip(from_, out_);
  }

  void import_hub(const BlipTensors& tensors, const char* config = kHubConfig) {
    const fs::path hub = folder_.path() / "hub";
    write_safetensors(hub / "model.safetensors", tensors);
    write_file_atomically(hub / "config.json", config);
    fs::copy_file(folder_.path() / "vocab.txt", hub / "vocab.txt", fs::copy_options::overwrite_existing);
    import_blip({.weights = hub}, out_);
  }

  void expect_ours() const {
    const SafetensorsFile file = SafetensorsFile::open(out_ / "model.safetensors");
    EXPECT_EQ(file.entries().size(), ours_.size());
    for (const auto& [name, tensor] : ours_)
      EXPECT_TRUE(std::ranges::equal(file.tensor(name).bytes(), tensor.bytes())) << name;
    EXPECT_EQ(read_text(out_ / "vocab.txt", 1 << 20), read_text(tiny_ / "vocab.txt", 1 << 20));
    const auto backend = make_onednn_backend({});
    Image picture(50, 40);
    for (std::size_t i = 0; i < picture.rgb.size(); ++i) picture.rgb[i] = static_cast<std::uint8_t>(i * 7 % 256);
    const auto caption = [&](const fs::path& folder) {
      GenerationOptions options;
      options.left_to_right = LeftToRight{.max_length = 8};
      return load_captioner(ModelFolder::open(folder), *backend)->caption({&picture, 1}, options)[0];
    };
    EXPECT_EQ(caption(out_).text, caption(tiny_).text);
    EXPECT_NEAR(caption(out_).candidates[0].score, caption(tiny_).candidates[0].score, 1e-6);
  }

  TemporaryFolder folder_;
  fs::path tiny_ = folder_.path() / "tiny", out_ = folder_.path() / "out";
  BlipTensors ours_, salesforce_, hub_;
  BlipImport from_{.weights = {}};
};

TEST_F(ImportBlip, ReadsSalesforcesCheckpoint) {
  import_salesforce(salesforce_);
  expect_ours();
  const nlohmann::json generation = read_json(out_ / "generation_config.json");
  EXPECT_EQ(generation.at("left_to_right").at("beams"), 3);
  EXPECT_EQ(generation.at("left_to_right").at("max_length"), 16);
  EXPECT_EQ(read_json(out_ / "config.json").at("begin"), "[DEC]");
}

TEST_F(ImportBlip, ReadsAFolderOfTheHub) {
  import_hub(hub_);
  expect_ours();
}

TEST_F(ImportBlip, TiedWeightsMayBeStoredOnce) {
  for (const char* name : {"text_decoder.cls.predictions.decoder.weight", "text_decoder.cls.predictions.decoder.bias",
                           "text_decoder.bert.embeddings.position_ids"})
    hub_.erase(name);
  import_hub(hub_);
  expect_ours();
  hub_.erase("text_decoder.cls.predictions.bias");
  hub_.emplace("text_decoder.cls.predictions.decoder.bias", ours_.at("text_decoder.cls.predictions.bias"));
  import_hub(hub_);
  expect_ours();
}

TEST_F(ImportBlip, AHeadOfItsOwnStays) {
  HostTensor head(DType::f32, {22, 16});
  head.mutable_values<float>()[5] = 1.0f;
  salesforce_.at("model.text_decoder.cls.predictions.decoder.weight") = head;
  import_salesforce(salesforce_);
  EXPECT_EQ(read_json(out_ / "config.json").at("text").at("tied"), false);
  EXPECT_TRUE(
      SafetensorsFile::open(out_ / "model.safetensors").contains("text_decoder.cls.predictions.decoder.weight"));
}

TEST_F(ImportBlip, OtherPictureSizesInterpolatePositions) {
  from_.image_size = 48;
  import_salesforce(salesforce_);
  EXPECT_EQ(read_json(out_ / "config.json").at("image_encoder").at("image_size"), 48);
  const HostTensor positions = SafetensorsFile::open(out_ / "model.safetensors").tensor("visual_encoder.pos_embed");
  const HostTensor expected = resized_positions(ours_.at("visual_encoder.pos_embed"), 3);
  EXPECT_EQ(positions.shape(), (Shape{1, 10, 16}));
  EXPECT_TRUE(std::ranges::equal(positions.values<float>(), expected.values<float>()));
  const auto backend = make_onednn_backend({});
  EXPECT_NO_THROW(load_captioner(ModelFolder::open(out_), *backend));
  from_.image_size = 50;
  expect_error(ErrorCode::usage, "--image-size 50", [&] { import_salesforce(salesforce_); });
}

TEST_F(ImportBlip, WithoutVocabularyOrDecoderItIsAnImageEncoder) {
  const auto expect_encoder = [&] {
    ParameterStore parameters;
    parameters.add(SafetensorsFile::open(out_ / "image_encoder.safetensors"));
    const nlohmann::json config = read_json(out_ / "config.json");
    EXPECT_EQ(config.at("image_encoder").at("image_size"), 32);
    const auto backend = make_onednn_backend({});
    const JsonReader json(config.at("image_encoder"), "config.json");
    EXPECT_NO_THROW(make_image_encoder(*backend, Scope(parameters) / "visual_encoder", image_encoder_config(json)));
    fs::remove_all(out_);
  };
  const fs::path path = folder_.write("whole.pth", torch_zip(salesforce_));
  import_blip({.weights = path, .image_heads = 2}, out_);
  expect_encoder();
  BlipTensors alone;
  for (const auto& [name, tensor] : ours_)
    if (name.starts_with("visual_encoder.")) alone.emplace(name, tensor);
  import_salesforce(alone);
  expect_encoder();
}

TEST_F(ImportBlip, MustBeCompleteAndFit) {
  for (const char* name : {"vision_model.post_layernorm.bias", "vision_model.encoder.layers.0.self_attn.qkv.weight",
                           "text_decoder.bert.encoder.layer.1.crossattention.self.value.bias",
                           "text_decoder.cls.predictions.transform.dense.weight"}) {
    BlipTensors lacking = hub_;
    lacking.erase(name);
    expect_error(ErrorCode::invalid_model, name, [&] { import_hub(lacking); });
  }
  for (const char* name : {"vision_model.head.weight", "text_decoder.bert.pooler.dense.weight"}) {
    BlipTensors more = hub_;
    more.emplace(name, HostTensor(DType::f32, {2}));
    expect_error(ErrorCode::invalid_model, name, [&] { import_hub(more); });
  }
  expect_error(ErrorCode::invalid_model, "\"text_config.hidden_size\" is 17", [&] {
    import_hub(hub_, R"({"text_config": {"hidden_size": 17, "num_attention_heads": 2},
                         "vision_config": {"num_attention_heads": 2}})");
  });
  expect_error(ErrorCode::unsupported, "[SEP]", [&] {
    import_hub(hub_, R"({"text_config": {"sep_token_id": 4, "num_attention_heads": 2},
                         "vision_config": {"num_attention_heads": 2}})");
  });
  write_vocabulary_lines(folder_.path() / "vocab.txt", {"[PAD]", "[UNK]"});
  expect_error(ErrorCode::invalid_model, "2 tokens", [&] { import_hub(hub_); });
  expect_error(ErrorCode::invalid_model, "visual_encoder.cls_token", [&] {
    import_salesforce({{"x", HostTensor(DType::f32, {3})}});
  });
  EXPECT_FALSE(fs::exists(out_));
}

/// Cells of two features, by the definition of cubic convolution.
TEST(PositionGrid, IsBicubic) {
  HostTensor positions(DType::f32, {1, 10, 2});
  const auto values = positions.mutable_values<float>();
  values[0] = 5.0f;
  values[1] = 6.0f;
  for (std::size_t i = 0; i < 9; ++i) {
    values[2 + 2 * i] = static_cast<float>(i * i * 7 % 11) / 4.0f;
    values[3 + 2 * i] = static_cast<float>((i * 5 + 3) % 8);
  }
  const HostTensor larger = resized_positions(positions, 4);
  EXPECT_EQ(larger.values<float>()[0], 5.0f);
  EXPECT_EQ(larger.values<float>()[1], 6.0f);
  const std::vector<float> first{-0.2859090f, 1.1702536f, 1.9093266f, 1.3986863f, 1.2440269f, 0.9124637f,
                                 1.3686731f,  2.2838812f, 2.5461294f, 0.8697012f, 0.8837066f, 2.5780525f,
                                 2.6820194f,  1.0727836f, 0.8039254f, 2.0692014f};
  const std::vector<float> second{3.3283253f, 0.1731319f, 1.1135616f, 5.4718800f, 2.3182487f, 3.8373451f,
                                  4.7777748f, 4.4618034f, 1.1078129f, 5.7163677f, 6.6567974f, 3.2513676f,
                                  0.5693359f, 4.4560547f, 5.3964844f, 2.7128906f};
  for (std::size_t i = 0; i < 16; ++i) {
    EXPECT_NEAR(larger.values<float>()[2 + 2 * i], first[i], 1e-5f) << i;
    EXPECT_NEAR(larger.values<float>()[3 + 2 * i], second[i], 1e-5f) << i;
  }
  const HostTensor same = resized_positions(positions, 3);
  EXPECT_TRUE(std::ranges::equal(same.values<float>(), positions.values<float>()));
}

}  // namespace
}  // namespace capdiff::test
