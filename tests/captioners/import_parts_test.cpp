#include "capdiff/captioners/import_parts.h"

#include <nlohmann/json.hpp>

#include "capdiff/captioners/ladic_config.h"
#include "capdiff/evaluation/bert_score.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/torch_file.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;
using Tensors = std::map<std::string, HostTensor>;

const fs::path kLadicTiny = fs::path(CAPDIFF_SOURCE_DIR) / "tests/data/ladic_tiny";

/// Tensors of the small LaDiC under other names.
class ImportParts : public testing::Test {
 protected:
  ImportParts() {
    const SafetensorsFile file = SafetensorsFile::open(kLadicTiny / "model.safetensors");
    for (const std::string& name : file.names()) ladic_.emplace(name, file.tensor(name));
  }

  void add(Tensors& tensors, const std::string& from, const std::string& to) const {
    for (const auto& [name, tensor] : ladic_)
      if (name.starts_with(from)) tensors.insert_or_assign(to + name.substr(from.size()), tensor);
  }

  /// A BERT as on the hub: twelve layers, a head, a pooler, and the head for the next sentence.
  Tensors bert(const std::string& prefix) const {
    Tensors tensors;
    add(tensors, "space_decoder.embeddings.", prefix + "embeddings.");
    add(tensors, "space_decoder.encoder.", prefix + "encoder.");
    add(tensors, "lm_head.", "cls.");
    tensors.emplace(prefix + "pooler.dense.weight", HostTensor(DType::f32, {32, 32}));
    tensors.emplace(prefix + "pooler.dense.bias", HostTensor(DType::f32, {32}));
    tensors.emplace("cls.seq_relationship.weight", HostTensor(DType::f32, {2, 32}));
    tensors.emplace("cls.seq_relationship.bias", HostTensor(DType::f32, {2}));
    return tensors;
  }

  void import(const Tensors& tensors) {
    bert_.weights = folder_.write("pytorch_model.bin", torch_zip(tensors));
    import_bert(bert_, out_);
  }

  /// Expects the folder to hold exactly the tensors of both halves and the head.
  void expect_halves() const {
    Tensors expected;
    add(expected, "space_decoder.embeddings.", "space_encoder.embeddings.");
    expected.erase("space_encoder.embeddings.position_ids");
    for (int i = 0; i < 12; ++i) {
      const std::string layer = ".encoder.layer." + std::to_string(i) + ".";
      add(expected, "space_decoder" + layer, (i < 6 ? "space_encoder" : "space_decoder") + layer);
    }
    add(expected, "lm_head.", "lm_head.");
    expected.erase("lm_head.predictions.decoder.bias");
    const SafetensorsFile file = SafetensorsFile::open(out_ / "model.safetensors");
    EXPECT_EQ(file.entries().size(), expected.size());
    for (const auto& [name, tensor] : expected)
      EXPECT_TRUE(std::ranges::equal(file.tensor(name).bytes(), tensor.bytes())) << name;
  }

  TemporaryFolder folder_;
  fs::path out_ = folder_.path() / "out";
  Tensors ladic_;
  BertImport bert_{.weights = {}, .vocabulary = {}, .config = {}, .heads = 4, .encoder_layers = {}};
};

TEST_F(ImportParts, BertBecomesTwoHalves) {
  for (const char* prefix : {"bert.", ""}) {
    bert_.vocabulary = kLadicTiny / "vocab.txt";
    import(bert(prefix));
    expect_halves();
    EXPECT_TRUE(fs::exists(out_ / "vocab.txt"));
    const nlohmann::json config = read_json(out_ / "config.json");
    EXPECT_EQ(config.at("model_type"), "bert");
    EXPECT_EQ(config.at("text").at("encoder_layers"), 6);
    EXPECT_EQ(config.at("text").at("vocab_size"), 225);
    const auto backend = make_onednn_backend({});
    EXPECT_EQ(BertScorer(out_, *backend).layer(), 9);
  }
}

TEST_F(ImportParts, BertMayHaveOldNames) {
  Tensors old;
  for (const auto& [name, tensor] : bert("bert.")) {
    std::string renamed = name;
    for (const auto& [now, before] : {std::pair<std::string, std::string>{"LayerNorm.weight", "LayerNorm.gamma"},
                                      {"LayerNorm.bias", "LayerNorm.beta"}})
      if (name.ends_with(now)) renamed = name.substr(0, name.size() - now.size()) + before;
    old.emplace(renamed, tensor);
  }
  import(old);
  expect_halves();
}

TEST_F(ImportParts, BertMayTieItsDecoder) {
  Tensors tied = bert("bert.");
  tied.erase("cls.predictions.decoder.weight");
  ladic_.at("lm_head.predictions.decoder.weight") = tied.at("bert.embeddings.word_embeddings.weight");
  import(tied);
  expect_halves();
}

TEST_F(ImportParts, BertSplitsWhereAsked) {
  bert_.encoder_layers = 9;
  import(bert("bert."));
  const SafetensorsFile file = SafetensorsFile::open(out_ / "model.safetensors");
  EXPECT_TRUE(file.contains("space_encoder.encoder.layer.8.output.dense.bias"));
  EXPECT_TRUE(file.contains("space_decoder.encoder.layer.9.output.dense.bias"));
  EXPECT_EQ(read_json(out_ / "config.json").at("text").at("decoder_layers"), 3);
  bert_.encoder_layers = 13;
  expect_error(ErrorCode::usage, "--encoder-layers 13", [&] { import(bert("bert.")); });
}

TEST_F(ImportParts, BertReadsTheConfigurationOfTheHub) {
  bert_.heads.reset();
  bert_.config = folder_.write("config.json", R"({"num_attention_heads": 8, "hidden_size": 32, "model_type": "bert"})");
  import(bert("bert."));
  EXPECT_EQ(read_json(out_ / "config.json").at("text").at("heads"), 8);
  bert_.config = folder_.write("config.json", R"({"num_attention_heads": 8, "hidden_size": 768})");
  expect_error(ErrorCode::invalid_model, "\"hidden_size\" is 768", [&] { import(bert("bert.")); });
}

TEST_F(ImportParts, BertMustBeComplete) {
  for (const char* name : {"bert.encoder.layer.7.output.dense.bias", "bert.embeddings.LayerNorm.bias",
                           "cls.predictions.bias", "cls.predictions.transform.dense.weight"}) {
    Tensors tensors = bert("bert.");
    tensors.erase(name);
    expect_error(ErrorCode::invalid_model, name, [&] { import(tensors); });
  }
  Tensors more = bert("bert.");
  more.emplace("classifier.weight", HostTensor(DType::f32, {2, 32}));
  expect_error(ErrorCode::invalid_model, "unexpected tensor \"classifier.weight\"", [&] { import(more); });
  EXPECT_FALSE(fs::exists(out_));
}

}  // namespace
}  // namespace capdiff::test
