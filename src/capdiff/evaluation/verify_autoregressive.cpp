#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "capdiff/base/error.h"
#include "capdiff/captioners/caption_writer.h"
#include "capdiff/evaluation/autoregressive_golden.h"
#include "capdiff/evaluation/verify.h"
#include "capdiff/evaluation/verify_kinds.h"

namespace capdiff {
namespace {

using Json = nlohmann::json;

constexpr double kTextScores = 1e-5;  ///< relative, of a whole text
constexpr double kStepScores = 1e-4;  ///< of sums of log-probabilities

/// The number in a name such as "proc.repetition_1.1", behind `prefix`.
double number_in_name(const std::string& name, std::string_view prefix) {
  return std::stod(name.substr(prefix.size()));
}

/// Texts as the reference stores them: closed by `eos` where they have room, padded to the longest.
std::vector<std::vector<std::int64_t>> padded_texts(std::span<const WrittenText> texts, std::int64_t max_length,
                                                    std::int64_t eos, std::int64_t pad) {
  std::vector<std::vector<std::int64_t>> rows;
  std::size_t longest = 0;
  for (const WrittenText& text : texts) {
    rows.push_back(text.tokens);
    if (static_cast<std::int64_t>(text.tokens.size()) < max_length) rows.back().push_back(eos);
    longest = std::max(longest, rows.back().size());
  }
  for (auto& row : rows) row.resize(longest, pad);
  return rows;
}

Json step_to_json(const BeamStep& step) {
  Json candidates = Json::array(), beams = Json::array(), scores = Json::array(), finished = Json::array();
  double margin = std::numeric_limits<double>::max();
  for (std::size_t i = 0; i < step.candidates.size(); ++i) {
    const BeamStep::Candidate& candidate = step.candidates[i];
    candidates.push_back({candidate.beam, candidate.token, candidate.score});
    if (i > 0) margin = std::min(margin, step.candidates[i - 1].score - candidate.score);
  }
  for (const WrittenText& beam : step.beams) {
    beams.push_back(beam.tokens);
    scores.push_back(beam.score);
  }
  for (const WrittenText& text : step.finished) finished.push_back({text.score, text.tokens});
  return {{"length", step.length}, {"candidates", candidates}, {"beams", beams},
          {"scores", scores},      {"finished", finished},     {"margin", margin}};
}

class AutoregressiveVerification {
 public:
  AutoregressiveVerification(const std::filesystem::path& folder, Backend& backend, GoldenReport& report)
      : golden_(folder),
        backend_(backend),
        report_(report),
        tensors_(
            golden_.tensors(), [this](const std::string& name) { return golden_.tolerance(name); }, report),
        parameters_(golden_.parameters()),
        decoder_(backend, Scope(parameters_), golden_.config()),
        image_tokens_(tensors_.input("image_tokens")),
        ids_(tensors_.input("input_ids")) {}

  void forward() {
    const HostTensor mask = tensors_.input("attention_mask").to(DType::f32);
    const Probe probe = [&](std::string_view name, const Value& value) {
      tensors_.compare(std::string(name), backend_.download(value));
    };
    const Value logits = decoder_(backend_.upload(ids_), backend_.upload(mask), image(0, pictures()), probe);
    tensors_.compare("logits", backend_.download(logits));
  }

  void losses() {
    const HostTensor targets = golden_targets(tensors_.input("labels"));
    const auto loss = [&](std::int64_t begin, std::int64_t end) {
      return backend_
          .download(
              decoder_.loss(ids_.slice(begin, end), targets.slice(begin, end), image(begin, end), kGoldenSmoothing))
          .values<float>()[0];
    };
    tensors_.compare("loss", HostTensor::scalar(loss(0, pictures())));
    std::vector<float> sums;
    for (std::int64_t row = 0; row < pictures(); ++row) {
      const HostTensor own = targets.slice(row, row + 1);
      const auto learnt = std::ranges::count_if(own.values<std::int64_t>().subspan(1), [](auto id) { return id >= 0; });
      sums.push_back(loss(row, row + 1) * static_cast<float>(learnt));
    }
    tensors_.compare("loss_per_sequence_sum", HostTensor::of({pictures()}, sums));
  }

  void cache() {
    const std::int64_t given = golden_.tensors().tensor("cache.layer0.key_after_prefill").shape()[2];
    const std::int64_t steps = golden_.tensors().tensor("cache.step_logits").shape()[0];
    const std::vector<KeyValue> picture = image(0, 1);
    CaptionDecoder::Written written;
    std::vector<HostTensor> logits;
    const auto extend = [&](std::int64_t begin, std::int64_t end) {
      const auto tokens =
          ids_.values<std::int64_t>().subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
      const Value ids = backend_.upload(HostTensor::of({1, end - begin}, tokens));
      logits.push_back(backend_.download(decoder_.extend(ids, written, picture)));
    };
    extend(0, given);
    tensors_.compare("cache.layer0.key_after_prefill", by_head(written.layers.at(0).key));
    tensors_.compare("cache.layer0.value_after_prefill", by_head(written.layers.at(0).value));
    for (std::int64_t i = given; i < given + steps - 1; ++i) extend(i, i + 1);
    tensors_.compare("cache.step_logits", stacked(logits));
  }

  void free_running() {
    const std::vector<std::int64_t> prompt = golden_.prompt();
    const std::int64_t steps = golden_.tensors().tensor("free_running_greedy.logits").shape()[0];
    std::vector<std::int64_t> ids = prompt;
    std::vector<HostTensor> logits;
    CaptionWriter writer(backend_, decoder_, image(0, 1));
    NextTokens next = writer.begin(prompt);
    for (std::int64_t step = 0;; ++step) {
      logits.push_back(next.logits);
      const auto row = next.row(0);
      ids.push_back(std::ranges::max_element(row) - row.begin());
      if (step + 1 == steps) break;
      next = writer.next(std::vector<std::int64_t>{0}, std::span(ids).last(1));
    }
    tensors_.compare("free_running_greedy.logits", stacked(logits));
    tensors_.compare("free_running_greedy.ids", HostTensor::of({static_cast<std::int64_t>(ids.size())}, ids));
  }

  void processors() {
    constexpr std::string_view kRepetition = "proc.repetition_", kTopP = "proc.then_top_p_";
    const HostTensor logits = tensors_.input("proc.logits"), ids = tensors_.input("proc.input_ids");
    const std::int64_t rows = logits.shape()[0];
    HostTensor penalised(DType::f32, logits.shape()), kept(DType::boolean, logits.shape()),
        probabilities(DType::f32, logits.shape());
    const std::string repetition = tensors_.names(kRepetition).at(0), top_p = tensors_.names(kTopP).at(0);
    const auto size = static_cast<std::size_t>(logits.shape().cols());
    std::ranges::copy(logits.values<float>(), penalised.mutable_values<float>().begin());
    for (std::size_t row = 0; row < static_cast<std::size_t>(rows); ++row) {
      const auto written = ids.slice(static_cast<std::int64_t>(row), static_cast<std::int64_t>(row) + 1);
      const auto own = penalised.mutable_values<float>().subspan(row * size, size);
      penalise_repetition(own, written.values<std::int64_t>(), number_in_name(repetition, kRepetition), 0.0);
      for (const TokenProbability& token : nucleus(own, {.top_p = number_in_name(top_p, kTopP)})) {
        const std::size_t at = row * size + static_cast<std::size_t>(token.token);
        kept.mutable_values<std::uint8_t>()[at] = 1;
        probabilities.mutable_values<float>()[at] = static_cast<float>(token.probability);
      }
    }
    tensors_.compare(repetition, penalised);
    tensors_.compare(top_p, kept);
    tensors_.compare("proc.probs", probabilities);
  }

  void generated() {
    std::size_t index = 0;
    for (const Json& setting : golden_.json().at("generate")) {
      const std::string path = fmt::format("generate.{}.", index++);
      report_.part(path, [&] { text(path, setting); });
    }
  }

  void gradients(GradientCheck* check) {
    if (check)
      check->check_autoregressive(golden_, tensors_);
    else
      tensors_.skip("grad.");
  }

  void finish() { tensors_.finish(); }

 private:
  std::int64_t pictures() const { return image_tokens_.shape()[0]; }

  std::vector<KeyValue> image(std::int64_t begin, std::int64_t end) const {
    return decoder_.image(backend_.upload(image_tokens_.slice(begin, end)));
  }

  /// [1, L, hidden] as [1, heads, L, hidden / heads].
  HostTensor by_head(const Value& value) const {
    const std::int64_t length = value.shape()[1], heads = decoder_.config().bert.heads;
    const Value split = backend_.reshape(value, {1, length, heads, value.shape()[2] / heads});
    return backend_.download(backend_.permute(split, std::array{0, 2, 1, 3}));
  }

  void text(const std::string& path, const Json& setting) {
    if (setting.at("early_stopping").get<bool>())
      fail(ErrorCode::unsupported, "golden.json: beam search that stops early");
    const TokenRules rules{.end = golden_.json().at("eos"),
                           .min_length = setting.at("min_length"),
                           .max_length = setting.at("max_length"),
                           .repetition_penalty = setting.at("repetition_penalty")};
    std::vector<Json> traces(static_cast<std::size_t>(pictures()), Json::array());
    CaptionWriter writer(backend_, decoder_, image(0, pictures()));
    const std::vector<WrittenText> texts =
        beam_search(writer, traces.size(), golden_.prompt(), rules,
                    {.beams = setting.at("num_beams"), .length_penalty = setting.at("length_penalty")},
                    [&](const BeamStep& step) { traces[step.picture].push_back(step_to_json(step)); });
    report_.compare_json(path + "sequences", setting.at("sequences"),
                         padded_texts(texts, rules.max_length, rules.end, golden_.json().at("pad")));
    std::vector<double> scores;
    for (const WrittenText& text : texts) scores.push_back(text.score);
    for (const char* key : {"scores", "scores_fp64"})
      if (!setting.at(key).is_null()) report_.compare_json(path + key, setting.at(key), scores, 0.0, kTextScores);
    if (setting.at("name") == "beam3") compare_traces(traces);
  }

  void compare_traces(const std::vector<Json>& traces) {
    for (const auto& [picture, golden] : golden_.json().at("traces").items()) {
      const Json& computed = traces.at(std::stoul(picture));
      const std::string path = fmt::format("traces.{}.", picture);
      report_.compare_json(path + "steps", golden.size(), computed.size());
      double margin = std::numeric_limits<double>::max();
      for (std::size_t i = 0; i < std::min(golden.size(), computed.size()); ++i) {
        margin = std::min(margin, computed[i].at("margin").get<double>());
        for (const auto& [key, value] : golden[i].items())
          report_.compare_json(fmt::format("{}{}.{}", path, i, key), value, computed[i].value(key, Json()),
                               kStepScores);
      }
      if (const Json& margins = golden_.json().at("min_beam_margin_image"); margins.contains(picture))
        report_.compare_json("min_beam_margin_image." + picture, margins.at(picture), margin, kStepScores);
    }
  }

  AutoregressiveGolden golden_;
  Backend& backend_;
  GoldenReport& report_;
  GoldenTensors tensors_;
  ParameterStore parameters_;
  CaptionDecoder decoder_;
  HostTensor image_tokens_, ids_;
};

}  // namespace

GoldenReport verify_autoregressive(const std::filesystem::path& folder, Backend& backend, GradientCheck* gradients) {
  GoldenReport report;
  AutoregressiveVerification v(folder, backend, report);
  report.part("forward", [&] { v.forward(); });
  report.part("loss", [&] { v.losses(); });
  report.part("cache", [&] { v.cache(); });
  report.part("free_running_greedy", [&] { v.free_running(); });
  report.part("proc", [&] { v.processors(); });
  report.part("generate", [&] { v.generated(); });
  report.part("grad", [&] { v.gradients(gradients); });
  v.finish();
  return report;
}

}  // namespace capdiff
