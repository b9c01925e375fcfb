#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "apps/capdiff/inputs.h"
#include "apps/capdiff/model_options.h"
#include "apps/capdiff/named_files.h"
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
  std::string prefix, suffix;  ///< around every caption
  std::string settings = {};   ///< what decides the captions, a line each; a run that goes on compares them

  bool has_sidecars() const;
  std::optional<Existing> policy() const;
};

/// What came of one picture.
struct Captioned {
  Caption caption;         ///< with --prefix and --suffix
  double seconds = 0.0;    ///< that it took
  bool truncated = false;  ///< whether only a part of the picture was there to be seen
};

/// One place that captions go to.
class CaptionOutput {
 public:
  virtual ~CaptionOutput() = default;

  /// Of all pictures, those that other processes caption included: one that cannot be written here, and one whose
  /// caption would take the place of another's, gets an `Input::error` and is not captioned. Notes what is written here
  /// in `files`. Throws `Error(usage)` for files that are taken, and where none of the pictures can be written.
  virtual void claim(std::span<Input> inputs, NamedFiles& files) = 0;
  /// Before the first of the pictures to be captioned: throws for whatever would fail after hours.
  virtual void check(std::span<Input> inputs) = 0;
  /// Whether captions stay here, for a later run to find.
  virtual bool keeps() const = 0;
  /// Whether the caption of this picture is there already and stays.
  virtual bool has(const Input& input) const = 0;
  virtual void add(const Input& input, const Captioned& captioned) = 0;
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
