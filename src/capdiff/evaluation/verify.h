#pragma once

#include <filesystem>
#include <optional>

#include "capdiff/backends/backend.h"
#include "capdiff/evaluation/golden_report.h"

namespace capdiff {

class AutoregressiveGolden;
class GoldenTensors;
class LadicGolden;
class PrefixGolden;

/// What of a verification needs autograd. Backends without it leave those goldens out.
class GradientCheck {
 public:
  virtual ~GradientCheck() = default;

  /// Recomputes the tensors `grads.…`, `grads_nosc.…`, `paper.grads.…` and `adamw.…` of a folder of the kind `ladic`.
  virtual void check_ladic(const LadicGolden& golden, GoldenTensors& tensors) = 0;
  /// Recomputes the tensors `grad.…` and `opt.…`, and the losses of golden.json that belong to them, of a folder of the
  /// kind `prefix-diffusion`.
  virtual void check_prefix(const PrefixGolden& golden, GoldenTensors& tensors) = 0;
  /// Recomputes the tensors `grad.…` of a folder of the kind `autoregressive`.
  virtual void check_autoregressive(const AutoregressiveGolden& golden, GoldenTensors& tensors) = 0;
};

struct VerifyOptions {
  GradientCheck* gradients = nullptr;
  /// Vocabulary of a tokeniser's goldens. Otherwise `vocab.txt` of the folder,
  /// $CAPDIFF_DATA/text/bert-base-uncased-vocab.txt, then ../../data/text/bert-base-uncased-vocab.txt from the folder;
  /// for CLIP's byte-pair tokeniser bpe_simple_vocab_16e6.txt.gz in all these places.
  std::optional<std::filesystem::path> vocabulary = {};
  /// METEOR's data for the goldens of the metrics. Otherwise `meteor` of the folder, $CAPDIFF_DATA/meteor, then
  /// ../../data/meteor from the folder.
  std::optional<std::filesystem::path> meteor_data = {};
};

/// Recomputes every golden number of a folder with the program's own functions, in f32 on `backend`, and compares. The
/// folder's kind is `kind` of its `golden.json` (`ladic`, `prefix-diffusion`, `autoregressive`, `dpm-solver`, `clip`);
/// folders without that file are known by others: `wordpiece.json`, `cleaning.json`, `decode.json`; `clip_bpe.json`;
/// `ptb.json`;
/// `*_expected.json`; `manifest.json`. A golden that nothing computes fails, and so does one that is missing. Throws
/// `Error` where the folder cannot be read as what it claims to be.
GoldenReport verify(const std::filesystem::path& folder, Backend& backend, const VerifyOptions& options = {});

}  // namespace capdiff
