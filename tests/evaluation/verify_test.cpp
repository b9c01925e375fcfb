#include "capdiff/evaluation/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "capdiff/base/hash.h"
#include "tests/support/expect_error.h"
#include "tests/support/golden_copy.h"
#include "tests/support/shared.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/torch_file.h"
#include "tests/support/verified.h"

namespace capdiff::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

void expect_pass(const std::filesystem::path& folder) {
  const GoldenReport report = verified(folder);
  EXPECT_GT(report.passed(), 0u);
  EXPECT_EQ(report.failed(), 0u) << to_table(report);
  for (const std::string& name : report.skipped)
    EXPECT_THAT(name, testing::AnyOf(StartsWith("grad"), StartsWith("adamw."), StartsWith("paper.grads."),
                                     StartsWith("opt."), StartsWith("json.opt.")));
}

TEST(Verify, LadicPassesOnOneDnn) {
  expect_pass(golden_folder("ladic_tiny"));
}

TEST(Verify, PrefixDiffusionPassesOnOneDnn) {
  expect_pass(golden_folder("prefix_tiny"));
  const GoldenReport report = verified(golden_folder("prefix_tiny"));
  std::set<std::string> names;
  for (const GoldenCheck& check : report.checks) EXPECT_TRUE(names.insert(check.name).second) << check.name;
  for (const char* name :
       {"fwd.logits_mode2_of_x0hat", "train.tT_loss", "json.train.mean", "clamp.ids", "ddim.b.eta1.noclamp.x_s",
        "traj.stride_sqrt6_eta0.final_ids", "json.trajectories.0.abar_next", "post.sqrt200.sample_fixed_large",
        "json.posterior.1.coef_xt", "schedules/pw_lin.1000.alpha_bar", "schedules/trunc_lin.200.beta",
        "schedules/time_embedding.dim128"})
    EXPECT_TRUE(names.contains(name)) << name;
}

TEST(Verify, PrefixDiffusionNoticesWhatIsWrong) {
  const GoldenCopy copy("prefix_tiny");
  copy.edit_json("golden.json", [](nlohmann::json& json) {
    json.at("trajectories").at(2).at("abar").at(0) = 1.58e-9;
    json.at("train").at("mse").at(1) = 2.4865;
  });
  copy.edit_tensors("schedules.safetensors", [](std::map<std::string, HostTensor>& tensors) {
    HostTensor changed(DType::f64, {1000});
    std::ranges::copy(tensors.at("trunc_cos.1000.alpha_bar").values<double>(),
                      changed.mutable_values<double>().begin());
    changed.mutable_values<double>().back() *= 1.0 + 1e-8;
    tensors.at("trunc_cos.1000.alpha_bar") = changed;
  });
  copy.edit_tensors("golden.safetensors", [](std::map<std::string, HostTensor>& tensors) {
    tensors.at("post.sqrt200.mean") = nudged(tensors.at("post.sqrt200.mean"), 1e-3f);
    tensors.emplace("fwd.unheard_of", tensors.at("fwd.x_t"));
  });
  EXPECT_THAT(
      failures(verified(copy.path())),
      testing::UnorderedElementsAre("json.trajectories.2.abar", "json.train.mse", "schedules/trunc_cos.1000.alpha_bar",
                                    "post.sqrt200.mean", "fwd.unheard_of"));
}

TEST(Verify, AutoregressivePassesOnOneDnn) {
  expect_pass(golden_folder("blip_ar_tiny"));
  const GoldenReport report = verified(golden_folder("blip_ar_tiny"));
  std::set<std::string> names;
  for (const GoldenCheck& check : report.checks) EXPECT_TRUE(names.insert(check.name).second) << check.name;
  for (const char* name : {"layer1.cross_attn", "head_transform", "loss_per_sequence_sum", "cache.step_logits",
                           "free_running_greedy.ids", "proc.then_top_p_0.9_kept", "json.generate.2.sequences",
                           "json.generate.4.scores_fp64", "json.traces.1.6.finished", "json.min_beam_margin_image.2"})
    EXPECT_TRUE(names.contains(name)) << name;
}

TEST(Verify, AutoregressiveNoticesWhatIsWrong) {
  const GoldenCopy copy("blip_ar_tiny");
  copy.edit_json("golden.json", [](nlohmann::json& json) {
    json.at("generate").at(1).at("sequences").at(2).at(8) = 51;
    json.at("generate").at(3).at("scores").at(0) = -0.3577;
    json.at("traces").at("0").at(3).at("beams").at(1).at(2) = 6;
    json.at("traces").at("1").erase(6);
  });
  copy.edit_tensors("golden.safetensors", [](std::map<std::string, HostTensor>& tensors) {
    for (const char* name : {"layer0.self_attn", "loss", "cache.layer0.value_after_prefill", "proc.probs"})
      tensors.at(name) = nudged(tensors.at(name), 1e-2f);
    tensors.at("free_running_greedy.ids") = tensors.at("proc.input_ids");
  });
  EXPECT_THAT(
      failures(verified(copy.path())),
      testing::UnorderedElementsAre("json.generate.1.sequences", "json.generate.3.scores", "json.traces.0.3.beams",
                                    "json.traces.1.steps", "layer0.self_attn", "loss",
                                    "cache.layer0.value_after_prefill", "proc.probs", "free_running_greedy.ids"));
}

TEST(Verify, DpmSolverPassesOnOneDnn) {
  expect_pass(golden_folder("dpm"));
  EXPECT_TRUE(verified(golden_folder("dpm")).skipped.empty());
}

TEST(Verify, SharedFoldersPass) {
  CAPDIFF_SHARED_OR_SKIP(ladic, "goldens/ladic_tiny");
  CAPDIFF_SHARED_OR_SKIP(dpm, "goldens/dpm");
  CAPDIFF_SHARED_OR_SKIP(prefix, "goldens/prefix_tiny");
  CAPDIFF_SHARED_OR_SKIP(autoregressive, "goldens/blip_ar_tiny");
  CAPDIFF_SHARED_OR_SKIP(wordpiece, "goldens/wordpiece");
  CAPDIFF_SHARED_OR_SKIP(torch_archives, "goldens/torchbin");
  CAPDIFF_SHARED_OR_SKIP(vocabulary, "data/text/bert-base-uncased-vocab.txt");
  for (const auto& folder : {ladic, dpm, prefix, autoregressive, wordpiece, torch_archives}) expect_pass(folder);
}

TEST(Verify, NamesWhatWasRecomputedButNoInputs) {
  const GoldenReport report = verified(golden_folder("ladic_tiny"));
  std::set<std::string> names;
  for (const GoldenCheck& check : report.checks) EXPECT_TRUE(names.insert(check.name).second) << check.name;
  for (const char* name : {"image_null.tokens", "schedule.time_table", "text.roundtrip_logits", "denoise.layer.2",
                           "sample_released.s30_single.trajectory", "sample_backrefine.s200.redo_positions",
                           "paper.backrefine.keep_mask", "paper.infill.latent", "paper.mbr.utility", "loss_nosc.total",
                           "paper.loss.L_c", "json.paper.mbr.caption", "json.sample_released.s200.embedded_t",
                           "json.trainable_parameter_count", "json.lr_schedule.1.lr_used_at_update"})
    EXPECT_TRUE(names.contains(name)) << name;
  for (const std::string& name : names) {
    EXPECT_EQ(name.find(".noise"), std::string::npos) << name;
    EXPECT_FALSE(name.ends_with("rgb_u8")) << name;
  }
}

TEST(Verify, AChangedGoldenNumberFails) {
  const GoldenCopy copy("ladic_tiny");
  copy.edit_tensors("golden.safetensors", [](auto& tensors) {
    for (const char* name : {"text.e_dot", "sample_released.s30.logits", "loss.pad_loss"})
      tensors.at(name) = nudged(tensors.at(name), 0.01f);
  });
  copy.edit_json("golden.json", [](nlohmann::json& json) {
    json.at("paper.ddim5").at("captions").at(0) = "a man riding a horse";
    json.at("sentence_bleu").at(1).at("value") = 0.26;
    json.at("trainable_parameter_count") = 138944;
  });
  EXPECT_EQ(
      failures(verified(copy.path())),
      (std::set<std::string>{"text.e_dot", "sample_released.s30.logits", "loss.pad_loss", "json.paper.ddim5.captions",
                             "json.sentence_bleu.1.value", "json.trainable_parameter_count"}));
}

TEST(Verify, AChangedWeightFails) {
  const GoldenCopy copy("ladic_tiny");
  copy.edit_tensors("model.safetensors", [](auto& tensors) {
    HostTensor& bias = tensors.at("space_decoder.encoder.layer.11.output.dense.bias");
    bias = nudged(bias, 0.5f);
  });
  const std::set<std::string> failed = failures(verified(copy.path()));
  EXPECT_TRUE(failed.contains("paper.text.roundtrip_logits"));
  EXPECT_FALSE(failed.contains("text.roundtrip_logits"));  // the released decoder has no layers
  EXPECT_FALSE(failed.contains("text.hidden"));
}

TEST(Verify, AMissingOrUnknownTensorFails) {
  const GoldenCopy copy("ladic_tiny");
  copy.edit_tensors("golden.safetensors", [](auto& tensors) {
    tensors.erase("text.hidden");
    tensors.erase("paper.ddim5.trajectory_xt");
    tensors.erase("grads.time_layer_norm.bias");
    tensors.emplace("text.extra", HostTensor::scalar(1.0f));
    tensors.emplace("sample_released.s77.logits", HostTensor::scalar(1.0f));
  });
  EXPECT_EQ(failures(verified(copy.path())),
            (std::set<std::string>{"text.hidden", "paper.ddim5.trajectory_xt", "grads.time_layer_norm.bias",
                                   "text.extra", "sample_released.s77.logits"}));
}

TEST(Verify, AMissingInputFailsItsPart) {
  const GoldenCopy copy("ladic_tiny");
  copy.edit_tensors("golden.safetensors", [](auto& tensors) { tensors.erase("paper.ddim5.noise_init"); });
  const std::set<std::string> failed = failures(verified(copy.path()));
  EXPECT_TRUE(failed.contains("paper.ddim5"));
  EXPECT_TRUE(failed.contains("paper.ddim5.logits"));
  EXPECT_FALSE(failed.contains("paper.ddim30.logits"));
}

TEST(Verify, AMissingTextFailsItsPart) {
  const GoldenCopy copy("ladic_tiny");
  copy.edit_json("golden.json", [](nlohmann::json& json) {
    json.erase("sentence_bleu");
    json.at("sample_released.s30").erase("captions_no_unique");
  });
  EXPECT_EQ(failures(verified(copy.path())), (std::set<std::string>{"json.sentence_bleu", "sample_released.s30"}));
}

TEST(Verify, AnInconsistentInputFails) {
  const GoldenCopy copy("ladic_tiny");
  copy.edit_tensors("golden.safetensors", [](auto& tensors) {
    HostTensor mask(DType::i64, tensors.at("text.attention_mask").shape());
    tensors.at("text.attention_mask") = mask;
  });
  EXPECT_TRUE(failures(verified(copy.path())).contains("text.attention_mask"));
}

TEST(Verify, AChangedSolverNumberFails) {
  const GoldenCopy copy("dpm");
  copy.edit_json("golden.json", [](nlohmann::json& json) { json.at("cases").at(0).at("order") = 1; });
  const std::set<std::string> failed = failures(verified(copy.path()));
  EXPECT_TRUE(failed.contains("lin10_time_uniform.final"));
  EXPECT_FALSE(failed.contains("lin10_time_uniform.t_alpha_sigma_lambda"));
  copy.edit_json("golden.json", [](nlohmann::json& json) { json.at("cases").erase(1); });
  EXPECT_TRUE(failures(verified(copy.path())).contains("lin10_logSNR.x0hat"));
}

TEST(Verify, RefusesFoldersThatItCannotRead) {
  const TemporaryFolder folder;
  expect_error(ErrorCode::invalid_input, "golden.json", [&] { verified(folder.path()); });
  expect_error(ErrorCode::not_found, "nowhere", [&] { verified(folder.path() / "nowhere"); });
  folder.write("golden.json", R"({"kind": "poems"})");
  expect_error(ErrorCode::unsupported, "poems", [&] { verified(folder.path()); });
  folder.write("golden.json", R"({"kind": "ladic"})");
  expect_error(ErrorCode::not_found, "golden.safetensors", [&] { verified(folder.path()); });
  const GoldenCopy copy("ladic_tiny");
  copy.edit_json("reference.json", [](nlohmann::json& json) { json.at("text").erase("hidden"); });
  expect_error(ErrorCode::invalid_input, "hidden", [&] { verified(copy.path()); });
}

TEST(Verify, TokeniserGoldensOfAnyVocabulary) {
  const TemporaryFolder folder;
  folder.write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n.\na\nsword\n##fish\n");
  folder.write("wordpiece.json", R"({"tokenize": [{"cat": "caption", "text": "A swordfish [PAD]",
    "tokens": ["a", "sword", "##fish", "[PAD]"], "ids": [6, 7, 8, 0], "ids4": [2, 6, 7, 3], "mask4": [1, 1, 1, 1],
    "tokens_if_literals_were_plain_text": ["a", "sword", "##fish", "[UNK]", "[UNK]", "[UNK]"]}]})");
  folder.write("cleaning.json", R"({"cases": [{"text": "A (swordfish) .", "ladic30": "a swordfish .", "ladic1": "a",
    "blip30": "a swordfish", "ids6": [2, 6, 7, 8, 5, 3], "real_mask6": [0, 1, 1, 1, 1, 0],
    "ce_target6": [5, 6, 7, 8, 5, 5], "blip_train_ids5": [9, 6, 1, 1, 3]}]})");
  EXPECT_EQ(verified(folder.path()).failed(), 0u) << to_table(verified(folder.path()));
  EXPECT_EQ(verified(folder.path()).passed(), 12u);
  folder.write("decode.json", R"({"single": [], "batches": [], "skip_special": []})");
  EXPECT_EQ(verified(folder.path()).failed(), 3u);
  std::filesystem::remove(folder.path() / "vocab.txt");
  expect_error(ErrorCode::not_found, "--vocab", [&] { verified(folder.path()); });
}

TEST(Verify, TorchArchivesLoadOrAreRefused) {
  const TemporaryFolder folder;
  const HostTensor weights =
      HostTensor::of({3}, std::vector<float>{1.0f, -2.5f, std::numeric_limits<float>::infinity()});
  folder.write("good.pt", torch_zip({{"fc.weight", weights}}));
  folder.write("text.pt", "no checkpoint");
  const nlohmann::json tensor{{"path", {"fc.weight"}},
                              {"dtype", "F32"},
                              {"shape", {3}},
                              {"stride", {1}},
                              {"storage_offset", 0},
                              {"first", {1.0, -2.5, "inf"}},
                              {"sha256_contiguous_le", sha256_hex(weights.bytes())}};
  nlohmann::json manifest{{"files",
                           {{{"file", "good.pt"}, {"expect", "ok"}, {"tensors", nlohmann::json::array({tensor})}},
                            {{"file", "text.pt"}, {"expect", "error"}},
                            {{"file", "text.pt"}, {"expect", "error_or_ok"}}}}};
  const auto failed = [&] {
    folder.write("manifest.json", manifest.dump());
    return failures(verified(folder.path()));
  };
  EXPECT_EQ(failed(), std::set<std::string>{});
  manifest["files"][0]["tensors"][0]["first"][1] = -2.0;
  manifest["files"][0]["expect"] = "error";
  manifest["files"][1]["expect"] = "ok";
  EXPECT_EQ(failed(), (std::set<std::string>{"json.files.0.expect", "json.files.1.expect"}));
  manifest["files"][0]["expect"] = "ok";
  manifest["files"][0]["tensors"].push_back(tensor);
  manifest["files"][2]["file"] = "../elsewhere/absent.pt";
  EXPECT_EQ(failed(), (std::set<std::string>{"json.files.0.tensors.0.first", "json.files.0.tensor_count",
                                             "json.files.1.expect"}));
}

}  // namespace
}  // namespace capdiff::test
