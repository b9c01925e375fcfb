#include "capdiff/evaluation/verify_ladic.h"

#include <algorithm>
#include <array>
#include <set>

#include "capdiff/base/error.h"
#include "capdiff/diffusion/forward_process.h"
#include "capdiff/evaluation/verify_kinds.h"
#include "capdiff/image/decode.h"
#include "capdiff/text/clean_caption.h"

namespace capdiff {
namespace {

constexpr std::string_view kPictureSuffix = ".rgb_u8";

std::vector<std::string> picture_names(const GoldenTensors& tensors) {
  std::vector<std::string> names;
  for (const std::string& name : tensors.names("image"))
    if (name.ends_with(kPictureSuffix)) names.push_back(name.substr(0, name.size() - kPictureSuffix.size()));
  return names;
}

Image picture(const LadicGolden& golden, const std::string& name) {
  const HostTensor stored = golden.tensor(name + std::string(kPictureSuffix));
  const auto rgb = stored.values<std::uint8_t>();
  return {static_cast<int>(stored.shape()[1]), static_cast<int>(stored.shape()[0]), {rgb.begin(), rgb.end()}};
}

HostTensor bytes_of(const Image& image) {
  HostTensor tensor(DType::u8, {image.height, image.width, 3});
  std::ranges::copy(image.rgb, tensor.mutable_values<std::uint8_t>().begin());
  return tensor;
}

void verify_images(LadicVerification& v) {
  const Preprocessor preprocessor = v.golden.preprocessor();
  for (const std::string& name : v.pictures) {
    const Image source = picture(v.golden, name);
    const std::filesystem::path file = v.golden.folder() / (name + ".png");
    v.tensors.input(name + std::string(kPictureSuffix),
                    bytes_of(std::filesystem::exists(file) ? read_image(file) : source));
    v.tensors.compare(name + ".resized_u8", bytes_of(preprocessor.resize(source)));
    const HostTensor pixels = preprocessor.pixels(source);
    v.tensors.compare(name + ".pixel_values", pixels);
    const Probe probe = [&](std::string_view block, const Value& value) {
      v.tensors.compare_if_stored(name + "." + std::string(block), v.backend.download(value));
    };
    const Value batch = v.backend.upload(pixels.reshaped({1, 3, pixels.shape()[1], pixels.shape()[2]}));
    v.tensors.compare(name + ".tokens", v.backend.download(v.paper.image_encoder().encode(batch, probe).patches));
  }
  const std::int64_t side = v.paper.image_encoder().image_size();
  const Value nothing = v.backend.upload(HostTensor(DType::f32, {1, 3, side, side}));
  v.tensors.compare("image_null.tokens", v.backend.download(v.paper.image_encoder().encode(nothing).patches));
}

void verify_schedules(LadicVerification& v) {
  for (const ScheduleKind kind : {ScheduleKind::linear, ScheduleKind::cosine}) {
    NoiseScheduleConfig config = v.paper.config().schedule;
    config.kind = kind;
    const NoiseSchedule schedule(config);
    HostTensor alpha_bar(DType::f32, {config.time_steps});
    for (std::int64_t t = 0; t < config.time_steps; ++t)
      alpha_bar.mutable_values<float>()[static_cast<std::size_t>(t)] = static_cast<float>(schedule.alpha_bar(t));
    v.tensors.compare("schedule." + std::string(name_of(kind)) + ".alpha_bar", alpha_bar);
  }
  const LadicDenoiserConfig& denoiser = v.paper.config().denoiser;
  const Value table = v.backend.upload(time_embedding_table(denoiser.time_steps, denoiser.hidden));
  const Value rows = v.backend.embedding(table, v.backend.upload(v.tensors.input("schedule.time_table.t")));
  v.tensors.compare("schedule.time_table", v.backend.download(rows));
}

void verify_text(LadicVerification& v) {
  const std::int64_t length = v.paper.config().length;
  const auto& texts = v.golden.json().at("text");
  const auto count = static_cast<std::int64_t>(texts.size());
  HostTensor ids(DType::i64, {count, length}), mask(DType::i64, {count, length});
  auto next_id = ids.mutable_values<std::int64_t>().begin(), next_mask = mask.mutable_values<std::int64_t>().begin();
  for (const auto& text : texts) {
    const std::string clean = clean_caption(text.at("raw").get<std::string>(),
                                            {.max_words = static_cast<std::size_t>(v.paper.config().max_words)});
    const EncodedText encoded = v.tokenizer.encode(clean, length);
    next_id = std::ranges::copy(encoded.ids, next_id).out;
    next_mask = std::ranges::copy(encoded.attention_mask, next_mask).out;
  }
  v.tensors.compare("text.input_ids", ids);
  v.tensors.input("text.attention_mask", mask);

  const TokenBatch captions = v.golden.captions();
  v.tensors.compare("text.special_mask", special_positions(captions));
  v.tensors.compare("text.hidden", v.backend.download(v.released.text().hidden(captions)));
  v.tensors.compare("text.e_dot", v.backend.download(v.released.text().dot_latent()));
  for (const Profile profile : {Profile::released, Profile::paper}) {
    const std::string prefix = profile == Profile::paper ? "paper.text." : "text.";
    const SplitBert& text = v.model(profile).text();
    const Value x0 = text.encode(captions);
    v.tensors.compare(prefix + "x0", v.backend.download(x0));
    v.tensors.compare(prefix + "roundtrip_logits", v.backend.download(text.logits(x0)));
  }
}

void verify_denoiser(LadicVerification& v) {
  const Value x_t = v.backend.upload(v.tensors.input("denoise.x_t"));
  const Value self_condition = v.backend.upload(v.tensors.input("denoise.self_cond"));
  const Value t = v.backend.upload(v.tensors.input("denoise.t"));
  const std::int64_t rows = x_t.shape()[0];
  const Condition images = v.condition(v.released, v.pixels(0, static_cast<std::size_t>(rows)));
  const Condition null = v.released.null_condition();
  const Probe probe = [&](std::string_view name, const Value& value) {
    v.tensors.compare("denoise." + std::string(name), v.backend.download(value));
  };
  const LadicDenoiser& denoiser = v.released.denoiser();
  v.tensors.compare("denoise.x0_cond", v.backend.download(denoiser(x_t, self_condition, t,
                                                                   std::array{ConditionedRows{rows, &images}}, probe)));
  v.tensors.compare("denoise.x0_uncond",
                    v.backend.download(denoiser(x_t, self_condition, t, std::array{ConditionedRows{rows, &null}})));
}

/// Squared errors summed over the rows of a mask [B, L] that are `wanted`, over their number of elements.
HostTensor masked_error(const HostTensor& a, const HostTensor& b, const HostTensor& mask, float wanted) {
  const auto width = static_cast<std::size_t>(a.shape().cols());
  double sum = 0.0, elements = 0.0;
  for (std::size_t row = 0; row < mask.values<float>().size(); ++row) {
    if (mask.values<float>()[row] != wanted) continue;
    for (std::size_t i = row * width; i < (row + 1) * width; ++i) {
      const double difference = static_cast<double>(a.values<float>()[i]) - static_cast<double>(b.values<float>()[i]);
      sum += difference * difference;
    }
    elements += static_cast<double>(width);
  }
  return HostTensor::scalar(static_cast<float>(sum / elements));
}

/// One batch of training, forward: with a first estimate as self-condition, and without.
class LossVerification {
 public:
  LossVerification(LadicVerification& verification, Profile profile)
      : v_(verification),
        model_(verification.model(profile)),
        prefix_(profile == Profile::paper ? "paper.loss" : "loss"),
        captions_(verification.golden.captions()) {}

  void run() {
    Backend& b = v_.backend;
    const HostTensor keep = v_.tensors.input(prefix_ + ".image_keep").to(DType::f32);
    const std::int64_t rows = keep.numel();
    const Value pixels =
        b.mul(b.upload(v_.tensors.input("loss.pixel_values")), b.upload(keep.reshaped({rows, 1, 1, 1})));
    const Condition images = v_.condition(model_, pixels);
    const std::array part{ConditionedRows{rows, &images}};
    const HostTensor t = v_.tensors.input(prefix_ + ".t");
    x0_ = model_.text().encode(captions_);
    v_.tensors.compare(prefix_ + ".x0", b.download(x0_));
    const Value x_t = noised(b, model_.schedule(), x0_, b.upload(v_.tensors.input(prefix_ + ".noise")), t);
    v_.tensors.compare(prefix_ + ".x_t", b.download(x_t));
    const Value times = b.upload(t), nothing = b.upload(HostTensor(DType::f32, x_t.shape()));
    const Value first = model_.denoiser()(x_t, nothing, times, part);
    v_.tensors.compare(prefix_ + ".self_cond_used", b.download(first));
    const Value predicted = model_.denoiser()(x_t, first, times, part);
    v_.tensors.compare(prefix_ + ".logits", b.download(model_.text().logits(predicted)));
    compare_losses(prefix_, predicted);
    for (const auto& [name, wanted] : {std::pair{".valid_token_loss", 1.0f}, {".pad_loss", 0.0f}})
      v_.tensors.compare_if_stored(prefix_ + name,
                                   masked_error(b.download(predicted), b.download(x0_), captions_.mask, wanted));
    if (const std::string without = prefix_ + "_nosc"; !v_.tensors.names(without + ".").empty())
      compare_losses(without, first);
  }

 private:
  void compare_losses(const std::string& prefix, const Value& predicted) {
    const LadicModel::Losses losses = model_.losses(predicted, x0_, captions_.ids);
    v_.tensors.compare(prefix + ".x0_pred", v_.backend.download(predicted));
    v_.tensors.compare(prefix + ".L_x", v_.backend.download(losses.latent));
    v_.tensors.compare(prefix + ".L_c", v_.backend.download(losses.caption));
    v_.tensors.compare(prefix + ".total", v_.backend.download(losses.total));
  }

  LadicVerification& v_;
  const LadicModel& model_;
  std::string prefix_;
  TokenBatch captions_;
  Value x0_;
};

/// What golden.json states of the parameters that learn.
void verify_parameters(LadicVerification& v) {
  // Biases of the LM head are stored under two names.
  constexpr std::string_view kAlias = "lm_head.predictions.decoder.bias";
  const ParameterStore store = v.golden.parameters();
  const LadicModel model(v.backend, store, v.golden.config(Profile::released), v.golden.ids(), true);
  std::int64_t count = 0;
  for (const auto& [name, shape] : store.used())
    if (learns(name)) count += shape.numel();
  v.tensors.report().compare_json("trainable_parameter_count", v.golden.json().at("trainable_parameter_count"), count);

  const SafetensorsFile weights = SafetensorsFile::open(v.golden.folder() / "model.safetensors");
  std::set<std::string> idle;
  for (const auto& [name, entry] : weights.entries())
    if (learns(name) && entry.dtype == DType::f32 && name != kAlias && !store.used().contains(name)) idle.insert(name);
  const std::set<std::string> stated = v.golden.json().at("no_grad_params");
  v.tensors.report().compare_json("no_grad_params", stated, idle);
}

}  // namespace

LadicVerification::LadicVerification(const std::filesystem::path& folder, Backend& verified, GoldenReport& report)
    : golden(folder),
      backend(verified),
      tensors(
          golden.tensors(), [this](const std::string& name) { return golden.tolerance(name); }, report),
      vocabulary(golden.vocabulary()),
      tokenizer(vocabulary),
      paper(golden.model(verified, Profile::paper)),
      released(golden.model(verified, Profile::released)),
      pictures(picture_names(tensors)) {}

std::vector<std::vector<std::int64_t>> LadicVerification::rows(const HostTensor& ids) {
  std::vector<std::vector<std::int64_t>> all;
  for (std::int64_t row = 0; row < ids.shape()[0]; ++row) {
    const HostTensor one = ids.slice(row, row + 1);
    all.emplace_back(one.values<std::int64_t>().begin(), one.values<std::int64_t>().end());
  }
  return all;
}

std::vector<std::vector<std::string>> LadicVerification::tokens(
    const std::vector<std::vector<std::int64_t>>& ids) const {
  std::vector<std::vector<std::string>> all;
  for (const auto& row : ids) {
    auto& texts = all.emplace_back();
    for (const std::int64_t id : row) texts.push_back(vocabulary.token(id));
  }
  return all;
}

Value LadicVerification::pixels(std::size_t first, std::size_t count) const {
  if (first + count > pictures.size())
    fail(ErrorCode::invalid_input, "{}: {} pictures are needed, and there are {}", golden.folder().string(),
         first + count, pictures.size());
  std::vector<Image> images;
  for (std::size_t i = first; i < first + count; ++i) images.push_back(picture(golden, pictures[i]));
  return backend.upload(golden.preprocessor().batch(images));
}

GoldenReport verify_ladic(const std::filesystem::path& folder, Backend& backend, GradientCheck* gradients) {
  GoldenReport report;
  LadicVerification v(folder, backend, report);
  const auto part = [&](const std::string& name, void (*run)(LadicVerification&)) {
    report.part(name, [&] { run(v); });
  };
  part("image", verify_images);
  part("schedule", verify_schedules);
  part("text", verify_text);
  part("denoise", verify_denoiser);
  verify_ladic_sampling(v);
  for (const Profile profile : {Profile::released, Profile::paper})
    report.part(profile == Profile::paper ? "paper.loss" : "loss", [&] { LossVerification(v, profile).run(); });
  part("json.trainable_parameter_count", verify_parameters);
  verify_ladic_strings(v);
  if (gradients) {
    report.part("grads", [&] { gradients->check_ladic(v.golden, v.tensors); });
  } else {
    for (const char* prefix : {"grads", "adamw.", "paper.grads"}) v.tensors.skip(prefix);
  }
  v.tensors.finish();
  for (const auto& [name, error] : v.golden.json().at("fp32_error").items())
    if (!v.tensors.contains(name) && std::ranges::find(report.checks, name, &GoldenCheck::name) == report.checks.end())
      report.fail_check(name, "golden.json has a tolerance for it, golden.safetensors does not have it");
  return report;
}

}  // namespace capdiff
