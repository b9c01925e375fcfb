#include "capdiff/captioners/import_clip.h"

#include <nlohmann/json.hpp>

#include "capdiff/base/files.h"
#include "capdiff/formats/json_reader.h"
#include "capdiff/formats/safetensors.h"
#include "capdiff/text/clip_bpe.h"
#include "tests/support/clip_reference.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/torch_file.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;
using Tensors = std::map<std::string, HostTensor>;

/// Rows [begin, end) of a matrix or elements of a vector, on their own.
HostTensor rows(const HostTensor& tensor, std::int64_t begin, std::int64_t end) {
  const HostTensor part = tensor.slice(begin, end);
  return HostTensor::of(part.shape(), part.values<float>());
}

class ImportClip : public testing::Test {
 protected:
  ImportClip() {
    from_.image_heads = from_.text_heads = 2;
    from_.vocabulary = folder_.write("merges.txt", tiny_merges());
  }

  /// OpenAI's tensors under Hugging Face's names.
  Tensors hugging_face() const {
    Tensors tensors{{"logit_scale", clip_.state_dict().at("logit_scale")}};
    const Tensors open_ai = clip_.state_dict();
    const auto add = [&](const std::string& theirs, const std::string& ours) {
      tensors.emplace(theirs, open_ai.at(ours));
    };
    const auto both = [&](const std::string& theirs, const std::string& ours) {
      add(theirs + ".weight", ours + ".weight");
      add(theirs + ".bias", ours + ".bias");
    };
    add("vision_model.embeddings.class_embedding", "visual.class_embedding");
    add("vision_model.embeddings.patch_embedding.weight", "visual.conv1.weight");
    add("vision_model.embeddings.position_embedding.weight", "visual.positional_embedding");
    both("vision_model.pre_layrnorm", "visual.ln_pre");
    both("vision_model.post_layernorm", "visual.ln_post");
    add("text_model.embeddings.token_embedding.weight", "token_embedding.weight");
    add("text_model.embeddings.position_embedding.weight", "positional_embedding");
    both("text_model.final_layer_norm", "ln_final");
    for (const auto& [theirs, ours, width] :
         {std::tuple("vision_model.encoder.layers.", "visual.transformer.resblocks.", clip_.config.image.width),
          {"text_model.encoder.layers.", "transformer.resblocks.", clip_.config.text.width}})
      for (int i = 0; i < 2; ++i) {
        const std::string there = theirs + std::to_string(i) + ".", here = ours + std::to_string(i) + ".";
        both(there + "layer_norm1", here + "ln_1");
        both(there + "layer_norm2", here + "ln_2");
        both(there + "self_attn.out_proj", here + "attn.out_proj");
        both(there + "mlp.fc1", here + "mlp.c_fc");
        both(there + "mlp.fc2", here + "mlp.c_proj");
        std::int64_t begin = 0;
        for (const char* part : {"q_proj", "k_proj", "v_proj"}) {
          for (const char* parameter : {"weight", "bias"})
            tensors.emplace(there + "self_attn." + part + "." + parameter,
                            rows(open_ai.at(here + "attn.in_proj_" + parameter), begin, begin + width));
          begin += width;
        }
      }
    tensors.emplace("visual_projection.weight", open_ai.at("visual.proj").transposed());
    tensors.emplace("text_projection.weight", open_ai.at("text_projection").transposed());
    tensors.emplace("vision_model.embeddings.position_ids", HostTensor(DType::i64, {1, 10}));
    tensors.emplace("text_model.embeddings.position_ids", HostTensor(DType::i64, {1, 24}));
    return tensors;
  }

  void import(const std::string& file) {
    from_.weights = folder_.write("clip.pt", file);
    import_clip(from_, out_);
  }

  /// Expects the folder to hold exactly these tensors, to the last bit.
  void expect_tensors(const Tensors& expected) const {
    const SafetensorsFile file = SafetensorsFile::open(out_ / "model.safetensors");
    EXPECT_EQ(file.entries().size(), expected.size());
    for (const auto& [name, tensor] : expected) {
      EXPECT_EQ(file.tensor(name).shape(), tensor.shape()) << name;
      EXPECT_TRUE(std::ranges::equal(file.tensor(name).bytes(), tensor.bytes())) << name;
    }
  }

  ClipConfig config() const { return ClipConfig::from_json(JsonReader::open(out_ / "config.json")); }

  TemporaryFolder folder_;
  fs::path out_ = folder_.path() / "out";
  ClipReference clip_;
  ClipImport from_{
      .weights = {}, .vocabulary = {}, .config = {}, .dtype = DType::f32, .image_heads = {}, .text_heads = {}};
};

TEST_F(ImportClip, ReadsOpenAisStateDictionary) {
  import(torch_zip(clip_.state_dict()));
  expect_tensors(clip_.state_dict());
  EXPECT_EQ(config().to_json(), clip_.config.to_json());
  EXPECT_EQ(ClipBpe::load(out_ / "merges.txt").size(), 524);
  const nlohmann::json preprocessor = read_json(out_ / "preprocessor_config.json");
  EXPECT_EQ(preprocessor.at("size").at("shortest_edge"), 12);
  EXPECT_EQ(preprocessor.at("do_center_crop"), true);
}

TEST_F(ImportClip, ReadsTorchScript) {
  Tensors script = clip_.state_dict();
  script.emplace("input_resolution", HostTensor(DType::i64, {}));
  script.emplace("context_length", HostTensor(DType::i64, {}));
  script.emplace("vocab_size", HostTensor(DType::i64, {1}));
  for (const char* block : {"transformer.resblocks.0.", "transformer.resblocks.1."})
    script.emplace(std::string(block) + "attn_mask", HostTensor::of({24, 24}, std::vector<float>(24 * 24, -INFINITY)));
  import(torch_script(script));
  expect_tensors(clip_.state_dict());
}

TEST_F(ImportClip, ReadsHalfPrecision) {
  Tensors half, expected;
  for (const auto& [name, tensor] : clip_.state_dict()) {
    half.emplace(name, tensor.to(DType::f16));
    expected.emplace(name, tensor.to(DType::f16).to(DType::f32));
  }
  import(torch_zip(half));
  expect_tensors(expected);
  from_.dtype = DType::bf16;
  import(torch_zip(half));
  for (auto& [name, tensor] : expected) tensor = tensor.to(DType::bf16);
  expect_tensors(expected);
}

TEST_F(ImportClip, ReadsNamesBehindAPrefix) {
  Tensors wrapped{{"optimizer.step", HostTensor::scalar(3.0f)}};
  for (const auto& [name, tensor] : clip_.state_dict()) wrapped.emplace("state_dict.module." + name, tensor);
  import(torch_zip(wrapped));
  expect_tensors(clip_.state_dict());
}

TEST_F(ImportClip, ReadsHuggingFace) {
  import(torch_zip(hugging_face()));
  expect_tensors(clip_.state_dict());
  const Tensors half = [&] {
    Tensors tensors = hugging_face();
    for (auto& [name, tensor] : tensors)
      if (tensor.dtype() == DType::f32) tensor = tensor.to(DType::bf16);
    return tensors;
  }();
  from_.dtype = DType::bf16;
  import(torch_zip(half));
  Tensors expected = clip_.state_dict();
  for (auto& [name, tensor] : expected) tensor = tensor.to(DType::bf16);
  expect_tensors(expected);
}

TEST_F(ImportClip, ReadsAFolder) {
  const fs::path folder = folder_.path() / "hub";
  fs::create_directories(folder);
  from_ = {.weights = folder, .vocabulary = {}, .config = {}, .dtype = DType::f32, .image_heads = {}, .text_heads = {}};
  expect_error(ErrorCode::not_found, "model.safetensors", [&] { import_clip(from_, out_); });
  write_safetensors(folder / "model.safetensors", hugging_face());
  write_file_atomically(folder / "merges.txt", tiny_merges());
  write_file_atomically(folder / "preprocessor_config.json",
                        R"({"crop_size": 12, "do_center_crop": true, "size": 12, "image_mean": [0.5, 0.5, 0.5]})");
  write_file_atomically(folder / "config.json", R"({"model_type": "clip", "projection_dim": 6,
      "text_config": {"hidden_size": 10, "num_attention_heads": 5, "hidden_act": "gelu", "layer_norm_eps": 1e-6},
      "vision_config": {"hidden_size": 8, "num_attention_heads": 4, "hidden_act": "gelu", "layer_norm_eps": 1e-6}})");
  import_clip(from_, out_);
  expect_tensors(clip_.state_dict());
  EXPECT_EQ(config().image.heads, 4);
  EXPECT_EQ(config().text.heads, 5);
  EXPECT_EQ(config().activation, Activation::gelu);
  EXPECT_FLOAT_EQ(config().eps, 1e-6f);
  EXPECT_EQ(read_json(out_ / "preprocessor_config.json").at("image_mean").at(0), 0.5);
  EXPECT_TRUE(fs::exists(out_ / "merges.txt"));

  // What comes out can go in again.
  const nlohmann::json before = config().to_json();
  from_.weights = out_;
  import_clip(from_, folder_.path() / "again");
  EXPECT_EQ(read_json(folder_.path() / "again" / "config.json"), before);
}

TEST_F(ImportClip, ReadsTheArgumentsOfOpenAisClass) {
  from_.image_heads = from_.text_heads = {};
  from_.config =
      folder_.write("golden.json", R"({"config": {"transformer_heads": 5, "vision_width": 8}, "vision_heads": 4})");
  import(torch_zip(clip_.state_dict()));
  EXPECT_EQ(config().image.heads, 4);
  EXPECT_EQ(config().text.heads, 5);
  from_.text_heads = 10;
  import(torch_zip(clip_.state_dict()));
  EXPECT_EQ(config().text.heads, 10);
  from_.config = folder_.write("flat.json", R"({"transformer_heads": 5, "vision_heads": 4, "vision_width": 16})");
  expect_error(ErrorCode::invalid_model, "\"vision_width\" is 16", [&] { import(torch_zip(clip_.state_dict())); });
}

TEST_F(ImportClip, WorksWithoutAFittingVocabulary) {
  from_.vocabulary = {};
  import(torch_zip(clip_.state_dict()));
  EXPECT_FALSE(fs::exists(out_ / "merges.txt"));
  from_.vocabulary = folder_.write("other.txt", "a b\n");
  import(torch_zip(clip_.state_dict()));
  EXPECT_TRUE(fs::exists(out_ / "merges.txt"));
  from_.vocabulary = folder_.write("vocab.txt", "[PAD]\n[UNK]\n");
  expect_error(ErrorCode::invalid_model, "vocab.txt", [&] { import(torch_zip(clip_.state_dict())); });
}

TEST_F(ImportClip, RefusesWhatDoesNotFit) {
  const auto refused = [&](ErrorCode code, const std::string& message, const std::function<void(Tensors&)>& spoil) {
    Tensors tensors = clip_.state_dict();
    spoil(tensors);
    expect_error(code, message, [&] { import(torch_zip(tensors)); });
    EXPECT_FALSE(fs::exists(out_));
  };
  refused(ErrorCode::invalid_model, "visual.conv1.weight", [](Tensors& t) { t.erase("visual.conv1.weight"); });
  refused(ErrorCode::invalid_model, "transformer.resblocks.1.mlp.c_fc.bias",
          [](Tensors& t) { t.erase("transformer.resblocks.1.mlp.c_fc.bias"); });
  refused(ErrorCode::invalid_model, "unexpected tensor \"more\"",
          [](Tensors& t) { t.emplace("more", HostTensor::scalar(1.0f)); });
  refused(ErrorCode::invalid_model, "one more than a square", [](Tensors& t) {
    t.at("visual.positional_embedding") = HostTensor(DType::f32, {9, 8});
  });
  refused(ErrorCode::invalid_model, "[24, 8]", [](Tensors& t) {
    t.at("visual.transformer.resblocks.0.attn.in_proj_weight") = HostTensor(DType::f32, {8, 8});
  });
  refused(ErrorCode::invalid_model, "text_projection", [](Tensors& t) {
    t.at("text_projection") = HostTensor(DType::f32, {8, 6});
  });
  refused(ErrorCode::invalid_model, "ln_final.bias",
          [](Tensors& t) { t.at("ln_final.bias") = HostTensor::of({10}, std::vector<float>(10, NAN)); });
  refused(ErrorCode::invalid_model, "expected one element",
          [](Tensors& t) { t.emplace("vocab_size", HostTensor(DType::i64, {2})); });
  refused(ErrorCode::unsupported, "ResNet", [](Tensors& t) {
    t.emplace("visual.layer1.0.conv1.weight", HostTensor(DType::f32, {8, 8, 1, 1}));
  });
  from_.image_heads = 3;
  refused(ErrorCode::usage, "--image-heads", [](Tensors&) {});
}

}  // namespace
}  // namespace capdiff::test
