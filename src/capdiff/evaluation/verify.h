#pragma once

#include <filesystem>
#include <optional>

#include "capdiff/backends/backend.h"
#include "capdiff/evaluation/golden_report.h"

namespace capdiff {

class GoldenTensors;
class LadicGolden;

/// What of a verification needs autograd. Backends without it leave those goldens out.
class GradientCheck {
 public:
  virtual ~GradientCheck() = default;

  /// Recomputes the tensors `grads.…`, `grads_nosc.…`, `paper.grads.…` and `adamw.…` of a folder of the kind `ladic`.
  virtual void check_ladic(const LadicGolden& golden, GoldenTensors& tensors) = 0;
};

struct VerifyOptions {
  GradientCheck* gradients = nullptr;
  /// Vocabulary of the tokeniser's goldens. Otherwise `vocab.txt` of the folder,
  /// $CAPDIFF_DATA/text/bert-base-uncased-vocab.txt, then ../../data/text/bert-base-uncased-vocab.txt from the folder.
  std::optional<std::filesystem::path> vocabulary = {};
};

/// Recomputes every golden number of a folder with the program's own functions, in f32 on `backend`, and compares. The
/// folder's kind is `kind` of its `golden.json` (`ladic`, `dpm-solver`); folders without that file are known by others:
/// `wordpiece.json`, `cleaning.json`, `decode.json`; `ptb.json`; `*_expected.json`. A golden that nothing computes
/// fails, and so does one that is missing. Throws `Error` where the folder cannot be read as what it claims to be.
GoldenReport verify(const std::filesystem::path& folder, Backend& backend, const VerifyOptions& options = {});

}  // namespace capdiff
