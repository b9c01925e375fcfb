#include "tests/support/ladic_golden.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <fstream>

#include "capdiff/base/files.h"
#include "capdiff/image/decode.h"
#include "capdiff/text/detokenise.h"

namespace capdiff::test {
namespace {

nlohmann::json read_object(const std::filesystem::path& path) {
  std::ifstream stream(path);
  return nlohmann::json::parse(stream);
}

/// The mean and std pickles are torch archives; the values are also where the raw storage lies, as 4 · D bytes, which
/// is found by the name of its zip entry.
HostTensor statistics_from_archive(const std::filesystem::path& path, std::int64_t width) {
  const std::vector<std::byte> bytes = read_file(path, 1 << 20);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::size_t entry = text.find("/data/0");
  if (entry == std::string_view::npos) throw std::runtime_error("no storage in " + path.string());
  // A local file header: the name's length at byte 26, the extra field's at byte 28, the name at byte 30.
  const std::size_t header = text.rfind(std::string_view("PK\x03\x04", 4), entry);
  const auto u16 = [&](std::size_t at) {
    return static_cast<std::size_t>(bytes[at]) | static_cast<std::size_t>(bytes[at + 1]) << 8;
  };
  const std::size_t data = header + 30 + u16(header + 26) + u16(header + 28);
  std::vector<float> values(static_cast<std::size_t>(width));
  std::memcpy(values.data(), bytes.data() + data, values.size() * sizeof(float));
  return HostTensor::of({width}, values);
}

}  // namespace

LadicGolden::LadicGolden(const std::filesystem::path& folder)
    : folder_(folder),
      tensors_(SafetensorsFile::open(folder / "golden.safetensors")),
      reference_(read_object(folder / "reference.json")),
      golden_(read_object(folder / "golden.json")) {}

double LadicGolden::tolerance(const std::string& name) const {
  return golden_.at("fp32_error").at(name).at("recommended_atol").get<double>();
}

LadicConfig LadicGolden::paper_config() const {
  const auto& image = reference_.at("image");
  const auto& vit = reference_.at("vit");
  const auto& text = reference_.at("text");
  const auto& diffuser = reference_.at("diffuser");
  const auto& diffusion = reference_.at("diffusion");
  LadicConfig config;
  config.length = text.at("length");
  VisionTransformerConfig encoder;
  encoder.image_size = image.at("size");
  encoder.patch = image.at("patch");
  encoder.width = vit.at("width");
  encoder.depth = vit.at("depth");
  encoder.heads = vit.at("heads");
  encoder.mlp = vit.at("mlp");
  encoder.eps = vit.at("ln_eps");
  config.image_encoder = encoder;
  config.text.bert = {.vocab_size = text.at("vocab_size"),
                      .hidden = text.at("hidden"),
                      .layers = text.at("layers"),
                      .heads = text.at("heads"),
                      .intermediate = text.at("intermediate"),
                      .max_position = text.at("max_position"),
                      .type_vocab = text.at("type_vocab"),
                      .eps = text.at("ln_eps"),
                      .dropout = 0.0f};
  config.text.encoder_layers = text.at("encoder_layers");
  config.text.decoder_layers = reference_.at("paper").at("decoder_layers");
  config.text.special_latent = SpecialLatent::zeros;
  config.denoiser = {.latent = text.at("hidden"),
                     .hidden = diffuser.at("hidden"),
                     .layers = diffuser.at("layers"),
                     .heads = diffuser.at("heads"),
                     .intermediate = diffuser.at("intermediate"),
                     .encoder_width = diffuser.at("encoder_width"),
                     .max_position = diffuser.at("max_position"),
                     .time_steps = diffusion.at("T"),
                     .eps = diffuser.at("ln_eps"),
                     .dropout = 0.0f,
                     .time_layer_norm = diffuser.at("time_layer_norm")};
  config.schedule = {.kind = ScheduleKind::cosine,
                     .time_steps = diffusion.at("T"),
                     .beta_min = diffusion.at("beta_min"),
                     .beta_max = diffusion.at("beta_max"),
                     .cosine_s = diffusion.at("cosine_s"),
                     .noise_factor = reference_.at("paper").at("noise_factor_train")};
  config.latent_loss = LatentLoss::mean_squared;
  config.caption_loss_weight = reference_.at("paper").at("ce_weight");
  return config;
}

SpecialIds LadicGolden::ids() const {
  const auto& ids = reference_.at("ids");
  return {ids.at("pad"), ids.at("cls"), ids.at("sep"), ids.at("dot")};
}

Preprocessor LadicGolden::preprocessor() const {
  Preprocessor preprocessor;
  preprocessor.size = reference_.at("image").at("size");
  preprocessor.mean = reference_.at("image").at("mean");
  preprocessor.std = reference_.at("image").at("std");
  return preprocessor;
}

ParameterStore LadicGolden::parameters() const {
  ParameterStore store;
  store.add(SafetensorsFile::open(folder_ / "model.safetensors"));
  const std::int64_t width = reference_.at("text").at("hidden");
  store.add("statistics.mean", statistics_from_archive(folder_ / "mean_emb_split.pickle", width));
  store.add("statistics.std", statistics_from_archive(folder_ / "std_emb_split.pickle", width));
  return store;
}

TokenBatch LadicGolden::captions(const std::string& prefix) const {
  return {tensor(prefix + ".input_ids"), tensor(prefix + ".attention_mask").to(DType::f32)};
}

void expect_close(const LadicGolden& golden, const std::string& name, const HostTensor& actual) {
  const HostTensor expected = golden.tensor(name).to(DType::f32);
  ASSERT_EQ(actual.numel(), expected.numel()) << name << ": " << to_string(actual.shape());
  const auto a = actual.values<float>(), e = expected.values<float>();
  const double tolerance = golden.tolerance(name);
  double worst = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double error = std::abs(static_cast<double>(a[i]) - static_cast<double>(e[i]));
    if (!(error <= worst)) worst = error;
  }
  EXPECT_LE(worst, tolerance) << name;
}

namespace {

class PaperForward {
 public:
  PaperForward(const std::filesystem::path& folder, Backend& backend)
      : golden_(folder), b_(backend), model_(golden_.paper_model(backend)) {}

  void images() {
    for (const std::string name : {"image", "image_b"}) {
      const HostTensor source = golden_.tensor(name + ".rgb_u8");
      const auto rgb = source.values<std::uint8_t>();
      const Image image(static_cast<int>(source.shape()[1]), static_cast<int>(source.shape()[0]),
                        {rgb.begin(), rgb.end()});
      EXPECT_EQ(read_image(golden_.folder() / (name + ".png")), image) << name;
      const HostTensor expected = golden_.tensor(name + ".resized_u8");
      const auto resized = expected.values<std::uint8_t>();
      EXPECT_TRUE(std::ranges::equal(golden_.preprocessor().resize(image).rgb, resized)) << name;
      const HostTensor pixels = golden_.preprocessor().pixels(image);
      const HostTensor reference = golden_.tensor(name + ".pixel_values");
      for (std::size_t i = 0; i < pixels.values<float>().size(); ++i)
        ASSERT_NEAR(pixels.values<float>()[i], reference.values<float>()[i], 1e-6) << name << " " << i;

      const Value batch = b_.upload(pixels.reshaped({1, 3, pixels.shape()[1], pixels.shape()[2]}));
      const Probe probe = [&](std::string_view block, const Value& value) {
        const std::string probed = name + "." + std::string(block);
        if (golden_.tensors().contains(probed)) expect_close(golden_, probed, b_.download(value));
      };
      expect_close(golden_, name + ".tokens", b_.download(model_.image_encoder().encode(batch, probe).patches));
    }
    expect_close(golden_, "image_null.tokens", b_.download(tokens(nothing())));
  }

  void text() {
    const TokenBatch captions = golden_.captions();
    const HostTensor special = special_positions(captions), expected = golden_.tensor("text.special_mask");
    for (std::int64_t i = 0; i < special.numel(); ++i) {
      const auto at = static_cast<std::size_t>(i);
      EXPECT_EQ(special.values<float>()[at] != 0.0f, expected.values<std::uint8_t>()[at] != 0) << i;
    }
    expect_close(golden_, "text.hidden", b_.download(model_.text().hidden(captions)));
    expect_close(golden_, "text.e_dot", b_.download(model_.text().dot_latent()));
    const Value x0 = model_.text().encode(captions);
    expect_close(golden_, "paper.text.x0", b_.download(x0));
    expect_close(golden_, "paper.text.roundtrip_logits", b_.download(model_.text().logits(x0)));

    LadicConfig released = golden_.paper_config();
    released.text.decoder_layers = golden_.reference().at("released").at("decoder_layers");
    released.text.special_latent = SpecialLatent::dot;
    const ParameterStore parameters = golden_.parameters();
    const SplitBert text(b_, Scope(parameters), Scope(parameters) / "statistics", released.text, golden_.ids());
    const Value released_x0 = text.encode(captions);
    expect_close(golden_, "text.x0", b_.download(released_x0));
    expect_close(golden_, "text.roundtrip_logits", b_.download(text.logits(released_x0)));
  }

  void schedules() {
    for (const ScheduleKind kind : {ScheduleKind::linear, ScheduleKind::cosine}) {
      NoiseScheduleConfig config = golden_.paper_config().schedule;
      config.kind = kind;
      const NoiseSchedule schedule(config);
      const HostTensor expected = golden_.tensor("schedule." + std::string(name_of(kind)) + ".alpha_bar");
      for (std::int64_t t = 0; t < config.time_steps; ++t)
        EXPECT_NEAR(schedule.alpha_bar(t), expected.values<float>()[static_cast<std::size_t>(t)], 1e-6) << t;
    }
    const HostTensor rows = golden_.tensor("schedule.time_table"), t = golden_.tensor("schedule.time_table.t");
    const std::int64_t width = rows.shape()[1];
    const HostTensor table = time_embedding_table(golden_.paper_config().schedule.time_steps, width);
    for (std::int64_t r = 0; r < rows.shape()[0]; ++r) {
      const std::int64_t step = t.values<std::int64_t>()[static_cast<std::size_t>(r)];
      // The reference's exponential differs from the correctly rounded one by one unit in the last place.
      for (std::int64_t c = 0; c < width; ++c)
        EXPECT_NEAR(table.values<float>()[static_cast<std::size_t>(step * width + c)],
                    rows.values<float>()[static_cast<std::size_t>(r * width + c)], 7e-5)
            << step;
    }
  }

  void denoise() {
    const Value x_t = b_.upload(golden_.tensor("denoise.x_t")), self = b_.upload(golden_.tensor("denoise.self_cond"));
    const Value t = b_.upload(golden_.tensor("denoise.t"));
    const std::int64_t rows = x_t.shape()[0];
    const Probe probe = [&](std::string_view name, const Value& value) {
      expect_close(golden_, "denoise." + std::string(name), b_.download(value));
    };
    const Condition images = model_.denoiser().condition(tokens(both_images()));
    const Condition null = model_.null_condition();
    expect_close(golden_, "denoise.x0_cond",
                 b_.download(model_.denoiser()(x_t, self, t, std::array{ConditionedRows{rows, &images}}, probe)));
    expect_close(golden_, "denoise.x0_uncond",
                 b_.download(model_.denoiser()(x_t, self, t, std::array{ConditionedRows{rows, &null}})));
  }

  void sample(const std::string& name, std::int64_t steps) {
    const Condition images = model_.denoiser().condition(tokens(both_images()));
    const Condition null = model_.null_condition();
    const double guidance = golden_.reference().at("paper").at("guidance_w");
    const HostTensor trajectory = golden_.tensor(name + ".trajectory");
    double worst = 0.0;
    const SamplerObserver observe = [&](std::size_t call, std::int64_t t, const Value&, const Value& x0) {
      EXPECT_EQ(t, golden_.json().at(name).at("t").at(call).get<std::int64_t>());
      const auto index = static_cast<std::int64_t>(call);
      const HostTensor expected = trajectory.slice(index, index + 1), actual = b_.download(x0);
      for (std::size_t i = 0; i < actual.values<float>().size(); ++i)
        worst = std::max(worst, static_cast<double>(std::abs(actual.values<float>()[i] - expected.values<float>()[i])));
    };
    const Value x0 = sample_ddim(
        b_, model_.schedule(), steps, b_.upload(golden_.tensor(name + ".noise_init")),
        [&](const Value& x_t, const Value& self, std::int64_t t) {
          return model_.guided(x_t, self, t, images, null, guidance);
        },
        observe);
    EXPECT_LE(worst, golden_.tolerance(name + ".trajectory")) << name;
    expect_close(golden_, name + ".x0_final", b_.download(x0));
    const Value logits = model_.text().logits(x0);
    expect_close(golden_, name + ".logits", b_.download(logits));
    const HostTensor ids = b_.download(b_.argmax(logits)), expected = golden_.tensor(name + ".ids");
    EXPECT_TRUE(std::ranges::equal(ids.values<std::int64_t>(), expected.values<std::int64_t>())) << name;
    const Vocabulary vocabulary = Vocabulary::load(golden_.folder() / "vocab.txt");
    for (std::int64_t row = 0; row < ids.shape()[0]; ++row)
      EXPECT_EQ(paper_caption(vocabulary, ids.slice(row, row + 1).values<std::int64_t>()),
                golden_.json().at(name).at("captions").at(static_cast<std::size_t>(row)).get<std::string>());
  }

  void losses() {
    const HostTensor keep = golden_.tensor("paper.loss.image_keep").to(DType::f32);
    const std::int64_t batch = keep.numel();
    const Value pixels =
        b_.mul(b_.upload(golden_.tensor("loss.pixel_values")), b_.upload(keep.reshaped({batch, 1, 1, 1})));
    const Condition images = model_.denoiser().condition(tokens(pixels));
    const std::array part{ConditionedRows{batch, &images}};
    const TokenBatch captions = golden_.captions();
    const Value x0 = model_.text().encode(captions);
    expect_close(golden_, "paper.loss.x0", b_.download(x0));

    const HostTensor t = golden_.tensor("paper.loss.t");
    HostTensor signal(DType::f32, {batch, 1, 1}), noise(DType::f32, {batch, 1, 1});
    for (std::int64_t i = 0; i < batch; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const std::int64_t time = t.values<std::int64_t>()[at];
      signal.mutable_values<float>()[at] = static_cast<float>(model_.schedule().signal(time));
      noise.mutable_values<float>()[at] = static_cast<float>(model_.schedule().training_noise(time));
    }
    const Value x_t =
        b_.add(b_.mul(x0, b_.upload(signal)), b_.mul(b_.upload(golden_.tensor("paper.loss.noise")), b_.upload(noise)));
    expect_close(golden_, "paper.loss.x_t", b_.download(x_t));
    const Value times = b_.upload(t);
    const Value self = model_.denoiser()(x_t, b_.upload(HostTensor(DType::f32, x_t.shape())), times, part);
    expect_close(golden_, "paper.loss.self_cond_used", b_.download(self));
    const Value predicted = model_.denoiser()(x_t, self, times, part);
    expect_close(golden_, "paper.loss.x0_pred", b_.download(predicted));
    expect_close(golden_, "paper.loss.logits", b_.download(model_.text().logits(predicted)));
    const LadicModel::Losses losses = model_.losses(predicted, x0, b_.upload(captions.ids));
    expect_close(golden_, "paper.loss.L_x", b_.download(losses.latent));
    expect_close(golden_, "paper.loss.L_c", b_.download(losses.caption));
    expect_close(golden_, "paper.loss.total", b_.download(losses.total));
  }

 private:
  Value nothing() const {
    const std::int64_t side = model_.image_encoder().image_size();
    return b_.upload(HostTensor(DType::f32, {1, 3, side, side}));
  }
  Value both_images() const {
    const auto batched = [&](const std::string& name) {
      const HostTensor pixels = golden_.tensor(name);
      return b_.upload(pixels.reshaped({1, pixels.shape()[0], pixels.shape()[1], pixels.shape()[2]}));
    };
    return b_.concat(std::array{batched("image.pixel_values"), batched("image_b.pixel_values")}, 0);
  }
  Value tokens(const Value& pixels) const { return model_.image_encoder().encode(pixels).patches; }

  LadicGolden golden_;
  Backend& b_;
  LadicModel model_;
};

}  // namespace

void check_ladic_paper_forward(const std::filesystem::path& folder, Backend& backend) {
  PaperForward forward(folder, backend);
  forward.images();
  forward.text();
  forward.schedules();
  forward.denoise();
  forward.sample("paper.ddim5", 5);
  forward.sample("paper.ddim30", 30);
  forward.losses();
}

}  // namespace capdiff::test
