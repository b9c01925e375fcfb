#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "apps/capdiff/inputs.h"
#include "apps/capdiff/model_options.h"
#include "capdiff/captioners/captioner.h"
#include "capdiff/formats/sidecar.h"

namespace capdiff::app {

/// Where captions go, and how they look there.
struct OutputOptions {
  std::vector<std::string> formats{"text"};
  std::vector<std::string> files;  ///< one for each format but sidecar, in the same order
  std::string sidecar_dir;
  std::string sidecar_extension = "txt";
  std::string existing;  ///< empty: skip with sidecars, otherwise files are written anew
  bool all = false;
  std::optional<double> distinct;
  bool trace = false;

  bool has_sidecars() const;
  std::optional<Existing> policy() const;
};

/// One place that captions go to.
class CaptionOutput {
 public:
  virtual ~CaptionOutput() = default;

  /// Before the first picture: throws for whatever would fail after hours. A picture that cannot be written here gets
  /// an `Input::error`, and is not captioned.
  virtual void check(std::span<Input> inputs) = 0;
  /// Whether the caption of this picture is there already and stays.
  virtual bool has(const Input& input) const = 0;
  /// `seconds` is what the picture took.
  virtual void add(const Input& input, const Caption& caption, double seconds) = 0;
  /// After each batch: what has been added survives whatever comes.
  virtual void flush() = 0;
  /// After the last one.
  virtual void finish() = 0;
  /// Whether the same command goes on where this run ends.
  virtual bool goes_on() const = 0;
};

/// The outputs that the options ask for. With `bare`, text is the caption alone. Throws `Error(usage)` for options that
/// do not go together, and `Error(io)` for files that cannot be written.
std::vector<std::unique_ptr<CaptionOutput>> make_outputs(const OutputOptions& options, const LoadedModel& model,
                                                         bool bare);

/// A text file beside every picture, or in a tree of its own.
std::unique_ptr<CaptionOutput> make_sidecar_output(const OutputOptions& options);

/// Rows of `format` in `file`; on standard output where that is empty or "-".
std::unique_ptr<CaptionOutput> make_row_output(const OutputOptions& options, const LoadedModel& model,
                                               const std::string& format, const std::string& file, bool bare);

}  // namespace capdiff::app
