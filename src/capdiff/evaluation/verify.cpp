#include "capdiff/evaluation/verify.h"

#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"
#include "capdiff/evaluation/verify_kinds.h"
#include "capdiff/evaluation/verify_meteor.h"
#include "capdiff/formats/json_reader.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;

GoldenReport verify_kind(const std::string& kind, const fs::path& folder, Backend& backend,
                         const VerifyOptions& options) {
  if (kind == "ladic") return verify_ladic(folder, backend, options.gradients);
  if (kind == "prefix-diffusion") return verify_prefix(folder, backend, options.gradients);
  if (kind == "autoregressive") return verify_autoregressive(folder, backend, options.gradients);
  if (kind == "dpm-solver") return verify_dpm_solver(folder, backend);
  if (kind == "clip") return verify_clip(folder, backend);
  fail(ErrorCode::unsupported,
       "{}: goldens of the kind '{}' are not verified; known: ladic, prefix-diffusion, autoregressive, dpm-solver, "
       "clip",
       (folder / "golden.json").string(), kind);
}

}  // namespace

GoldenReport verify(const fs::path& folder, Backend& backend, const VerifyOptions& options) {
  if (!fs::is_directory(folder)) fail(ErrorCode::not_found, "{}: no such folder", folder.string());
  try {
    if (const fs::path golden = folder / "golden.json"; fs::exists(golden))
      return verify_kind(JsonReader::open(golden).get_string("kind"), folder, backend, options);
    if (has_tokenizer_goldens(folder)) return verify_tokenizer(folder, options.vocabulary);
    if (fs::exists(folder / kTorchManifest)) return verify_torch_archives(folder);
    if (fs::exists(folder / kClipBpeGoldens)) return verify_clip_bpe(folder, options.vocabulary);
    if (fs::exists(folder / kPtbGoldens)) return verify_ptb(folder);
    if (has_metric_goldens(folder)) {
      GoldenReport report = verify_metrics(folder);
      report.part("json.meteor", [&] { verify_meteor(folder, options.meteor_data, report); });
      return report;
    }
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorCode::invalid_input, "{}: a file does not have the layout of its kind ({})", folder.string(),
         error.what());
  }
  fail(ErrorCode::invalid_input, "{}: neither golden.json nor one of {}, {}, {}, {}, *_expected.json is here",
       folder.string(), fmt::join(kTokenizerGoldens, ", "), kClipBpeGoldens, kPtbGoldens, kTorchManifest);
}

}  // namespace capdiff
