#include "apps/capdiff/caption_output.h"

#include <algorithm>

#include "capdiff/base/error.h"
#include "capdiff/base/utf8.h"

namespace capdiff::app {

bool OutputOptions::has_sidecars() const {
  return std::ranges::find(formats, "sidecar") != formats.end();
}

std::optional<Existing> OutputOptions::policy() const {
  if (!existing.empty()) return existing_of(existing);
  return has_sidecars() ? std::optional(Existing::skip) : std::nullopt;
}

std::vector<std::unique_ptr<CaptionOutput>> make_outputs(const OutputOptions& options, const LoadedModel& model,
                                                         bool bare) {
  std::vector<std::string> formats = options.formats;
  const bool sidecars = std::erase(formats, "sidecar") > 0;
  if (!sidecars && (!options.sidecar_dir.empty() || options.sidecar_extension != "txt"))
    fail(ErrorCode::usage, "--sidecar-dir and --sidecar-extension are of sidecars; give --format sidecar too");
  if (!sidecars && (options.existing == "append" || options.existing == "prepend"))
    fail(ErrorCode::usage, "--existing {} is about the text of sidecars; give --format sidecar too", options.existing);
  if (formats.empty() && (options.all || options.trace))
    fail(ErrorCode::usage, "{}: sidecars have the caption alone; give --format jsonl -o FILE too",
         options.all ? "--all" : "--trace");
  for (const auto& [option, value] : {std::pair{"--prefix", options.prefix}, {"--suffix", options.suffix}})
    if (!is_utf8(value)) fail(ErrorCode::usage, "{}: it is not UTF-8", option);
  if (options.files.size() > formats.size())
    fail(ErrorCode::usage, "-o {}: there is no format for it; sidecars go to --sidecar-dir", options.files.back());
  if (formats.size() > 1 && options.files.size() != formats.size())
    fail(ErrorCode::usage, "{} formats need {} files: give -o FILE for each, in the same order", formats.size(),
         formats.size());
  std::vector<std::unique_ptr<CaptionOutput>> outputs;
  // Files are written before sidecars: a run that is killed between the two finds the picture still to be done.
  for (std::size_t i = 0; i < formats.size(); ++i)
    outputs.push_back(make_row_output(options, model, formats[i], options.files.empty() ? "" : options.files[i], bare));
  if (sidecars) outputs.push_back(make_sidecar_output(options));
  return outputs;
}

}  // namespace capdiff::app
