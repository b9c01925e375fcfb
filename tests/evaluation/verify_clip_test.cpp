#include <gmock/gmock.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "capdiff/base/files.h"
#include "capdiff/base/hash.h"
#include "capdiff/evaluation/verify.h"
#include "capdiff/formats/json_reader.h"
#include "capdiff/formats/safetensors.h"
#include "capdiff/image/preprocess.h"
#include "tests/support/clip_reference.h"
#include "tests/support/expect_error.h"
#include "tests/support/shared.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/torch_file.h"
#include "tests/support/verified.h"

namespace capdiff::test {
namespace {

HostTensor host(const Array& values) {
  return parameter("", values).value;
}

/// Goldens of the kind `clip`, computed in double precision.
class ClipGoldens : public testing::Test {
 protected:
  ClipGoldens() {
    HostTensor grey(DType::u8, {20, 14, 1}), colour(DType::u8, {13, 30, 3});
    for (HostTensor* picture : {&grey, &colour})
      for (std::size_t i = 0; i < picture->values<std::uint8_t>().size(); ++i)
        picture->mutable_values<std::uint8_t>()[i] = static_cast<std::uint8_t>(i * i / 7 % 256);
    std::vector<Image> pictures(2);
    pictures[0] = Image(14, 20);
    for (std::size_t i = 0; i < pictures[0].rgb.size(); ++i) pictures[0].rgb[i] = grey.values<std::uint8_t>()[i / 3];
    pictures[1] = Image(30, 13, {colour.values<std::uint8_t>().begin(), colour.values<std::uint8_t>().end()});
    Preprocessor preprocessor;
    preprocessor.size = 12;
    preprocessor.fit = Preprocessor::Fit::center_crop;
    const HostTensor pixels = preprocessor.batch(pictures);
    std::vector<double> values(pixels.values<float>().begin(), pixels.values<float>().end());
    const Array more = random({1, 3, 12, 12}, 5, -2.0, 2.0);
    values.insert(values.end(), more.values.begin(), more.values.end());
    const Array image_input = array({3, 3, 12, 12}, values);

    const std::vector<std::vector<std::int64_t>> rows{{522, 7, 523, 0, 0}, {522, 500, 40, 12, 523}};
    const std::array<std::int64_t, 10> ids{522, 7, 523, 0, 0, 522, 500, 40, 12, 523};
    const Array image = clip_.image_features(image_input), text = clip_.text_features(rows);
    const Array unit_image = unit_rows(image), unit_text = unit_rows(text);
    Array logits = zeros({3, 2}), transposed = zeros({2, 3});
    for (std::int64_t i = 0; i < 3; ++i)
      for (std::int64_t j = 0; j < 2; ++j)
        logits[i * 2 + j] = transposed[j * 3 + i] = std::exp(2.5) * dot(unit_image, i, unit_text, j);
    tensors_ = {{"raw_u8.0", grey},
                {"raw_u8.1", colour},
                {"image", host(image_input)},
                {"ids", HostTensor::of({2, 5}, ids)},
                {"image_features", host(image)},
                {"text_features", host(text)},
                {"image_features_normed", host(unit_image)},
                {"text_features_normed", host(unit_text)},
                {"logits_per_image", host(logits)},
                {"logits_per_text", host(transposed)}};

    const double cosine = dot(unit_image, 1, unit_text, 0), reference = dot(unit_text, 0, unit_text, 1);
    const double score = 2.5 * std::max(cosine, 0.0);
    const ClipImageConfig& vision = clip_.config.image;
    const ClipTextConfig& words = clip_.config.text;
    // The goldens' feed-forward layers are four times as wide as their towers.
    json_ = {{"kind", "clip"},
             {"config",
              {{"embed_dim", clip_.config.embed},
               {"image_resolution", vision.image_size},
               {"vision_layers", vision.depth},
               {"vision_width", vision.width},
               {"vision_patch_size", vision.patch},
               {"context_length", words.length},
               {"vocab_size", words.vocab_size},
               {"transformer_width", words.width},
               {"transformer_heads", words.heads},
               {"transformer_layers", words.depth}}},
             {"vision_heads", vision.heads},
             {"logit_scale_param", 2.5},
             {"clipscore",
              {{"pairs_image_text", {{1, 0}}},
               {"w", 2.5},
               {"per", {score}},
               {"mean", score},
               {"refs_text_index", {{1}}},
               {"ref_only_max_cos", {reference}},
               {"refclipscore", {2.0 * score * reference / (score + reference)}}}}};
    write_safetensors(folder_.path() / "state_dict.safetensors", clip_.state_dict());
    write();
  }

  void write() const {
    write_safetensors(folder_.path() / "golden.safetensors", tensors_);
    write_file_atomically(folder_.path() / "golden.json", json_.dump());
  }

  static ClipReference four_times_as_wide() {
    ClipReference::Sizes sizes;
    sizes.image_mlp = 32;
    sizes.text_mlp = 40;
    return ClipReference(1, sizes);
  }

  TemporaryFolder folder_;
  ClipReference clip_ = four_times_as_wide();
  std::map<std::string, HostTensor> tensors_;
  nlohmann::json json_;
};

TEST_F(ClipGoldens, Pass) {
  const GoldenReport report = verified(folder_.path());
  EXPECT_EQ(report.failed(), 0u) << to_table(report);
  EXPECT_EQ(report.passed(), 12u);
  std::filesystem::remove(folder_.path() / "state_dict.safetensors");
  folder_.write("state_dict.pt", torch_zip(clip_.state_dict()));
  EXPECT_EQ(verified(folder_.path()).failed(), 0u);
}

TEST_F(ClipGoldens, ChangedNumbersFail) {
  tensors_.at("text_features").mutable_values<float>()[3] += 1e-3f;
  tensors_.at("image").mutable_values<float>()[0] += 1e-3f;
  json_.at("clipscore").at("refclipscore").at(0) = 0.123;
  tensors_.emplace("img.block7", HostTensor::scalar(1.0f));
  tensors_.erase("logits_per_text");
  write();
  const std::set<std::string> failed = failures(verified(folder_.path()));
  for (const char* name : {"text_features", "image", "json.clipscore.refclipscore", "img.block7", "logits_per_text"})
    EXPECT_TRUE(failed.contains(name)) << name;
  EXPECT_FALSE(failed.contains("text_features_normed"));
  EXPECT_FALSE(failed.contains("json.clipscore.per"));
}

TEST_F(ClipGoldens, PairsBeyondTheTensorsFail) {
  json_.at("clipscore").at("pairs_image_text").at(0).at(0) = 3;
  write();
  EXPECT_EQ(failures(verified(folder_.path())), std::set<std::string>{"json.clipscore"});
}

TEST_F(ClipGoldens, MissingPartsAreErrors) {
  json_.at("config").erase("vocab_size");
  write();
  expect_error(ErrorCode::invalid_input, "vocab_size", [&] { verified(folder_.path()); });
  std::filesystem::remove(folder_.path() / "state_dict.safetensors");
  write_file_atomically(folder_.path() / "golden.json", R"({"kind": "clip"})");
  expect_error(ErrorCode::invalid_input, "config", [&] { verified(folder_.path()); });
}

/// Goldens of the tokeniser with a vocabulary of their own.
class ClipBpeGoldens : public testing::Test {
 protected:
  ClipBpeGoldens() {
    // Plain text under the compressed file's name is read as well.
    folder_.write("bpe_simple_vocab_16e6.txt.gz", tiny_merges());
    golden_ = nlohmann::json::parse(R"({"n_vocab": 524, "sot": 522, "eot": 523, "cases": [
      {"text": "The dog", "ids": [519, 513], "tokens": ["the</w>", "dog</w>"], "decoded": "the dog ",
       "ids6": [522, 519, 513, 523, 0, 0]},
      {"text": "dog dog dog", "ids": [513, 513, 513], "tokens": ["dog</w>", "dog</w>", "dog</w>"],
       "decoded": "dog dog dog ", "too_long": true, "ids4_truncated": [522, 513, 513, 523]}]})");
    golden_["vocab_gz_sha256"] =
        sha256_hex(read_file(folder_.path() / "bpe_simple_vocab_16e6.txt.gz", std::size_t{1} << 20));
    write();
  }

  void write() const { write_file_atomically(folder_.path() / "clip_bpe.json", golden_.dump()); }

  TemporaryFolder folder_;
  nlohmann::json golden_;
};

TEST_F(ClipBpeGoldens, Pass) {
  const GoldenReport report = verified(folder_.path());
  EXPECT_EQ(report.failed(), 0u) << to_table(report);
  EXPECT_EQ(report.passed(), 13u);
}

TEST_F(ClipBpeGoldens, ChangedValuesFail) {
  golden_.at("eot") = 524;
  golden_.at("cases").at(0).at("ids6").at(1) = 1;
  golden_.at("cases").at(1).at("too_long") = false;
  golden_.at("cases").at(1).at("decoded") = "dog dog dog";
  golden_.at("cases").push_back({{"text", "x"}});
  write();
  EXPECT_EQ(failures(verified(folder_.path())),
            (std::set<std::string>{"json.clip_bpe.eot", "json.clip_bpe.cases.0.ids6", "json.clip_bpe.cases.1.too_long",
                                   "json.clip_bpe.cases.1.decoded", "json.clip_bpe.cases.2"}));
  golden_.at("cases") = nlohmann::json::array();
  write();
  EXPECT_TRUE(failures(verified(folder_.path())).contains("json.clip_bpe.cases"));
}

TEST_F(ClipBpeGoldens, AnotherVocabularyMayBeNamed) {
  const auto other = folder_.write("other.txt", "d o\n");
  const std::set<std::string> failed = failures(verified(folder_.path(), {.vocabulary = other}));
  EXPECT_TRUE(failed.contains("json.clip_bpe.n_vocab"));
  EXPECT_TRUE(failed.contains("json.clip_bpe.vocab_gz_sha256"));
  std::filesystem::remove(folder_.path() / "bpe_simple_vocab_16e6.txt.gz");
  expect_error(ErrorCode::not_found, "--vocab", [&] { verified(folder_.path()); });
}

TEST(VerifyClip, SharedFoldersPass) {
  CAPDIFF_SHARED_OR_SKIP(clip, "goldens/clip_tiny");
  CAPDIFF_SHARED_OR_SKIP(bpe, "goldens/clip_bpe");
  CAPDIFF_SHARED_OR_SKIP(vocabulary, "data/text/bpe_simple_vocab_16e6.txt.gz");
  for (const auto& folder : {clip, bpe}) {
    const GoldenReport report = verified(folder);
    EXPECT_GT(report.passed(), 20u);
    EXPECT_EQ(report.failed(), 0u) << to_table(report);
    EXPECT_TRUE(report.skipped.empty());
  }
}

}  // namespace
}  // namespace capdiff::test
