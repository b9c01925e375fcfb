#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "apps/capdiff/caption_output.h"
#include "apps/capdiff/inputs.h"
#include "apps/capdiff/model_options.h"

namespace capdiff::app {

/// How `CaptionRun` goes about it.
struct RunOptions {
  std::size_t batch = 16;
  bool gpu = false;  ///< the processor is free while a batch is captioned
  bool allow_truncated = false;
  std::string errors;          ///< file that failures are added to; may be empty
  std::string prefix, suffix;  ///< around every caption
  std::string trace_svg;       ///< file to draw the trace of the only picture into; may be empty
  std::optional<Shard> shard;  ///< the share of the pictures that is captioned; the others are only looked at
  std::string list;            ///< file that names pictures; may be empty
  std::string passed_over;     ///< what was left alone in folders, for the last line; may be empty
};

/// Captions pictures: decodes them ahead, captions them batch by batch, hands them to the outputs, passes over what
/// cannot be read, and stops after a batch when it is asked to.
class CaptionRun {
 public:
  CaptionRun(LoadedModel& model, std::vector<std::unique_ptr<CaptionOutput>> outputs, RunOptions options);

  /// The exit code; 128 + n after signal n.
  int run(std::vector<Input> inputs);

 private:
  struct Batch {
    std::vector<const Input*> inputs;
    std::vector<Image> images;
  };

  /// Gives an error to every picture whose captions would take the place of something else.
  void claim_files(std::span<Input> inputs);
  /// Whether every output that keeps captions has this picture's.
  bool is_done(const Input& input) const;
  void caption_all(const std::vector<Input>& inputs);
  void caption_batch(Batch batch, double seconds_before);
  void hand_out(const Input& input, Captioned captioned);
  void report_failure(const Input& input, const std::string& reason);
  std::size_t left() const { return pictures_ - captioned_ - failed_; }
  /// "captioned 4, skipped 0, failed 1; …".
  std::string summary() const;

  LoadedModel& model_;
  std::vector<std::unique_ptr<CaptionOutput>> outputs_;
  RunOptions options_;
  std::size_t pictures_ = 0;    // less those that are skipped
  std::size_t handed_out_ = 0;  // of the batch under way; an output may still fail to keep it
  std::size_t captioned_ = 0, skipped_ = 0, failed_ = 0, batches_ = 0;
  std::chrono::duration<double> elapsed_{};
  int signal_ = 0;
};

}  // namespace capdiff::app
