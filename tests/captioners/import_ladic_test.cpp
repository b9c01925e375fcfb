#include "capdiff/captioners/import_ladic.h"

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "capdiff/captioners/captioner.h"
#include "capdiff/image/decode.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_model.h"
#include "tests/support/torch_file.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const fs::path kGolden = fs::path(CAPDIFF_SOURCE_DIR) / "tests/data/ladic_tiny";
const std::string kQuery = "diffuser.encoder.layer.0.attention.self.query.weight";

/// A small checkpoint of the published layout, which tests change before it is imported.
class ImportLadic : public testing::Test {
 protected:
  ImportLadic() {
    const SafetensorsFile file = SafetensorsFile::open(kGolden / "model.safetensors");
    for (const std::string& name : file.names()) tensors_.emplace(name, file.tensor(name));
    from_.weights = folder_.path() / "pytorch_model.bin";
    from_.mean = kGolden / "mean_emb_split.pickle";
    from_.std = kGolden / "std_emb_split.pickle";
    from_.vocabulary = kGolden / "vocab.txt";
    from_.config = kGolden / "reference.json";
  }

  void import() {
    folder_.write("pytorch_model.bin", torch_zip(tensors_));
    import_ladic(from_, out_);
  }

  /// Expects an error, and that nothing was written.
  void expect_refused(const std::string& part, ErrorCode code = ErrorCode::invalid_model) {
    expect_error(code, part, [&] { import(); });
    EXPECT_FALSE(fs::exists(out_));
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), {}), 1);
  }

  /// Expects an error that names the weights and a tensor.
  void expect_refused(const std::string& tensor, const std::string& expectation) {
    expect_refused(expectation);
    expect_refused("\"" + tensor + "\"");
    expect_refused("pytorch_model.bin");
  }

  nlohmann::json config() const { return read_json(out_ / "config.json"); }

  TemporaryFolder folder_;
  fs::path out_ = folder_.path() / "model";
  std::map<std::string, HostTensor> tensors_;
  LadicImport from_;
};

TEST_F(ImportLadic, CaptionsAsTheOriginalWeightsDo) {
  from_.profile = Profile::paper;
  import();
  write_tiny_model(folder_.path() / "original");
  const std::vector<Image> images{read_image(kGolden / "image.png"), read_image(kGolden / "image_b.png")};
  std::vector<Caption> captions[2];
  for (const auto& [i, folder] : {std::pair{0, out_}, {1, folder_.path() / "original"}}) {
    const auto backend = make_onednn_backend({});
    captions[i] = load_captioner(ModelFolder::open(folder), *backend)->caption(images, {.steps = 5, .seed = 7});
  }
  for (std::size_t i = 0; i < images.size(); ++i) {
    EXPECT_EQ(captions[0][i].text, captions[1][i].text);
    EXPECT_EQ(captions[0][i].candidates[0].score, captions[1][i].candidates[0].score);
  }
}

TEST_F(ImportLadic, KeepsTensorsAndLeavesOutWhatIsNeverRead) {
  for (const Profile profile : {Profile::paper, Profile::released}) {
    from_.profile = profile;
    import();
    const SafetensorsFile file = SafetensorsFile::open(out_ / "model.safetensors");
    for (const std::string& name : file.names()) {
      ASSERT_TRUE(tensors_.contains(name)) << name;
      EXPECT_TRUE(std::ranges::equal(file.tensor(name).bytes(), tensors_.at(name).bytes())) << name;
    }
    for (const char* name :
         {"visual_encoder.pos_embed", "diffuser.embeddings.position_embeddings.weight", "time_layer_norm.weight",
          "lm_head.predictions.bias", "space_encoder.embeddings.word_embeddings.weight",
          "space_encoder.encoder.layer.5.output.dense.bias"})
      EXPECT_TRUE(file.contains(name)) << name;
    for (const char* name : {"diffuser.embeddings.word_embeddings.weight", "diffuser.embeddings.position_ids",
                             "space_encoder.embeddings.position_ids", "space_decoder.embeddings.word_embeddings.weight",
                             "space_decoder.cls.predictions.bias", "space_decoder.encoder.layer.5.output.dense.bias",
                             "lm_head.predictions.decoder.bias"})
      EXPECT_FALSE(file.contains(name)) << name;
    EXPECT_EQ(file.contains("space_decoder.encoder.layer.11.output.dense.bias"), profile == Profile::paper);
  }
}

TEST_F(ImportLadic, WritesTheSettingsOfEachProfile) {
  import();
  EXPECT_EQ(config().at("profile"), "released");
  EXPECT_EQ(config().at("text").at("decoder_layers"), 0);
  EXPECT_EQ(config().at("text").at("special_latent"), "dot");
  EXPECT_EQ(config().at("length"), 12);
  EXPECT_EQ(read_json(out_ / "scheduler_config.json").at("schedule"), "linear");
  from_.profile = Profile::paper;
  import();
  EXPECT_EQ(config().at("profile"), "paper");
  EXPECT_EQ(config().at("text").at("decoder_layers"), 6);
  EXPECT_EQ(config().at("text").at("special_latent"), "zeros");
  EXPECT_EQ(read_json(out_ / "scheduler_config.json").at("schedule"), "cosine");
}

TEST_F(ImportLadic, ReadsEveryFileFormat) {
  import();
  const SafetensorsFile expected = SafetensorsFile::open(out_ / "model.safetensors");
  const auto expect_same = [&] {
    import_ladic(from_, folder_.path() / "again");
    const SafetensorsFile file = SafetensorsFile::open(folder_.path() / "again/model.safetensors");
    EXPECT_EQ(file.names(), expected.names());
    EXPECT_TRUE(std::ranges::equal(file.tensor(kQuery).bytes(), expected.tensor(kQuery).bytes()));
  };
  folder_.write("pytorch_model.bin", torch_legacy(tensors_));
  expect_same();
  from_.weights = kGolden / "model.safetensors";
  from_.mean = from_.std = out_ / "statistics.safetensors";
  expect_same();
}

TEST_F(ImportLadic, StripsTheNameOfAWrapper) {
  std::map<std::string, HostTensor> wrapped;
  for (const auto& [name, tensor] : tensors_) wrapped.emplace("module." + name, tensor);
  tensors_ = wrapped;
  import();
  EXPECT_TRUE(SafetensorsFile::open(out_ / "model.safetensors").contains(kQuery));
  tensors_.erase("module." + kQuery);
  expect_error(ErrorCode::invalid_model, "\"module." + kQuery + "\"", [&] { import(); });
}

TEST_F(ImportLadic, RoundsToBfloat16OnRequest) {
  from_.dtype = DType::bf16;
  import();
  const HostTensor tensor = SafetensorsFile::open(out_ / "model.safetensors").tensor(kQuery);
  EXPECT_TRUE(std::ranges::equal(tensor.bytes(), tensors_.at(kQuery).to(DType::bf16).bytes()));
  EXPECT_EQ(SafetensorsFile::open(out_ / "statistics.safetensors").tensor("mean").dtype(), DType::f32);
}

TEST_F(ImportLadic, SeesWhetherTheTimeIsNormalised) {
  import();
  EXPECT_EQ(config().at("diffuser").at("time_layer_norm"), true);
  tensors_.erase("time_layer_norm.weight");
  expect_error(ErrorCode::invalid_model, "\"time_layer_norm.weight\"", [&] { import(); });
  tensors_.erase("time_layer_norm.bias");
  import();
  EXPECT_EQ(config().at("diffuser").at("time_layer_norm"), false);
}

TEST_F(ImportLadic, NamesMissingTensors) {
  tensors_.erase(kQuery);
  expect_refused(kQuery, "expected one of shape [64, 64]");
}

TEST_F(ImportLadic, NamesUnexpectedTensors) {
  tensors_.emplace("diffuser.encoder.layer.0.extra", HostTensor::of({2}, {1, 2}));
  expect_refused("diffuser.encoder.layer.0.extra", "of shape [2]; expected none");
}

TEST_F(ImportLadic, NamesUnexpectedNumbers) {
  tensors_.emplace("diffuser.encoder.layer.999.x", HostTensor::of({2}, {1, 2}));
  expect_refused("diffuser.encoder.layer.999.x", "expected a number from 0 to 255");
}

TEST_F(ImportLadic, NamesMisshapenTensors) {
  tensors_.at(kQuery) = HostTensor(DType::f32, {64, 65});
  expect_refused(kQuery, "has shape [64, 65]; expected [64, 64]");
}

TEST_F(ImportLadic, NamesMisshapenTensorsThatAreLeftOut) {
  tensors_.at("diffuser.embeddings.word_embeddings.weight") = HostTensor(DType::f32, {227, 65});
  expect_refused("diffuser.embeddings.word_embeddings.weight", "has shape [227, 65]; expected [any, 64]");
}

TEST_F(ImportLadic, NamesTensorsOfWrongTypesAndBrokenOnes) {
  const HostTensor original = tensors_.at(kQuery);
  tensors_.at(kQuery) = HostTensor(DType::i64, original.shape());
  expect_refused(kQuery, "type I64");
  HostTensor broken(DType::f32, original.shape());
  broken.mutable_values<float>()[5] = std::numeric_limits<float>::quiet_NaN();
  tensors_.at(kQuery) = broken;
  expect_refused(kQuery, "element 5");
}

TEST_F(ImportLadic, RefusesPositionsThatAreNoSquare) {
  tensors_.at("visual_encoder.pos_embed") = HostTensor(DType::f32, {1, 18, 32});
  expect_refused("visual_encoder.pos_embed", "one more than a square");
}

TEST_F(ImportLadic, RefusesOtherFilesThatDoNotFit) {
  from_.mean = folder_.path() / "mean.pt";
  const auto with_mean = [&](const std::map<std::string, HostTensor>& mean, const std::string& message) {
    folder_.write("mean.pt", torch_zip(mean));
    expect_error(ErrorCode::invalid_model, message, [&] { import(); });
  };
  with_mean({{"", HostTensor(DType::f32, {33})}}, "has shape [33]; expected [32]");
  with_mean({{"a", HostTensor(DType::f32, {32})}, {"b", HostTensor(DType::f32, {32})}}, "expected one, or one named");
  from_.mean = kGolden / "mean_emb_split.pickle";
  from_.std = folder_.path() / "mean.pt";
  with_mean({{"", HostTensor(DType::f32, {32})}}, "not positive");
  from_.std = kGolden / "std_emb_split.pickle";
  from_.vocabulary = folder_.write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n.\n");
  expect_error(ErrorCode::invalid_model, "vocab.txt: 6 tokens", [&] { import(); });
  EXPECT_FALSE(fs::exists(out_));
}

TEST_F(ImportLadic, TakesHeadsFromOptionsThenFromTheFileThenAsPublished) {
  from_.diffuser_heads = 8;
  import();
  EXPECT_EQ(config().at("diffuser").at("heads"), 8);
  EXPECT_EQ(config().at("text").at("heads"), 4);
  from_.config = out_ / "config.json";  // a model folder's own configuration serves as well
  from_.diffuser_heads.reset();
  import_ladic(from_, folder_.path() / "again");
  EXPECT_EQ(read_json(folder_.path() / "again/config.json"), config());
  from_.config.reset();
  expect_error(ErrorCode::usage, "--image-heads", [&] { import(); });
  from_.image_heads = from_.text_heads = 4;
  import();
  EXPECT_EQ(config().at("diffuser").at("heads"), 16);
  EXPECT_EQ(config().at("length"), 24);
}

TEST_F(ImportLadic, RefusesAFileWhoseSizesAreOthers) {
  from_.config = folder_.write("config.json", R"({"diffuser": {"heads": 4, "layers": 12}})");
  from_.image_heads = from_.text_heads = 4;
  expect_error(ErrorCode::invalid_model, "\"diffuser.layers\" is 12, but the weights", [&] { import(); });
}

}  // namespace
}  // namespace capdiff::test
