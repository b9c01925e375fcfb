#include "apps/capdiff/caption_run.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <ctime>
#include <optional>
#include <thread>
#include <utility>

#include "apps/capdiff/command.h"
#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/base/interruption.h"
#include "capdiff/base/progress.h"
#include "capdiff/base/utf8.h"
#include "capdiff/data/picture_queue.h"
#include "capdiff/formats/caption_rows.h"

namespace capdiff::app {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Whether an error is about one picture rather than about the run.
bool is_of_picture(const Error& error) {
  return error.code() == ErrorCode::invalid_input || error.code() == ErrorCode::unsupported;
}

/// Adds a line to a file; several processes may do so at once.
void append_line(const std::string& path, const std::string& line) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  const bool written =
      descriptor >= 0 && ::write(descriptor, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  const int error = errno;
  if (descriptor >= 0) ::close(descriptor);
  if (!written) fail(ErrorCode::io, "cannot write {}: {}", path, system_message(error));
}

/// Without the "path: " that errors begin with.
std::string reason_without(const std::string& path, std::string reason) {
  if (reason.starts_with(path + ": ")) reason.erase(0, path.size() + 2);
  return reason;
}

}  // namespace

CaptionRun::CaptionRun(LoadedModel& model, std::vector<std::unique_ptr<CaptionOutput>> outputs, RunOptions options)
    : model_(model), outputs_(std::move(outputs)), options_(std::move(options)) {}

int CaptionRun::run(std::vector<Input> inputs) {
  claim_files(inputs);
  if (options_.shard) std::erase_if(inputs, [&](const Input& input) { return !options_.shard->has(input); });
  const std::size_t count = inputs.size();
  for (const auto& output : outputs_) output->check(inputs);
  if (!options_.errors.empty()) append_line(options_.errors, "");
  std::erase_if(inputs, [&](const Input& input) { return input.error.empty() && is_done(input); });
  skipped_ = count - inputs.size();
  pictures_ = inputs.size();
  take_standard_input(inputs);
  try {
    caption_all(inputs);
    if (signal_ == 0 && (captioned_ > 0 || skipped_ > 0 || failed_ == 0))
      for (const auto& output : outputs_) output->finish();
  } catch (...) {
    if (captioned_ + skipped_ + failed_ > 0)
      write_to_stderr(fmt::format("ended early: {}; {} left\n", summary(), left()));
    throw;
  }
  if (count != 1 || skipped_ > 0 || signal_ != 0 || !options_.passed_over.empty()) write_to_stderr(summary() + "\n");
  if (signal_ != 0) return kSignalled + signal_;
  if (failed_ == 0) return kDone;
  return captioned_ + skipped_ == 0 ? kFailed : kSomeFailed;
}

void CaptionRun::claim_files(std::span<Input> inputs) {
  NamedFiles files(inputs);
  if (!options_.list.empty() && options_.list != "-") files.add_read(options_.list, "--files-from " + options_.list);
  for (const auto& [option, file] : {std::pair{"--errors", options_.errors}, {"--trace-svg", options_.trace_svg}})
    if (!file.empty()) files.add_option(option, file);
  for (const auto& output : outputs_) output->claim(inputs, files);
}

bool CaptionRun::is_done(const Input& input) const {
  bool kept = false;
  for (const auto& output : outputs_) {
    if (!output->keeps()) continue;
    if (!output->has(input)) return false;
    kept = true;
  }
  return kept;
}

void CaptionRun::caption_all(const std::vector<Input>& inputs) {
  std::optional<Progress> progress;
  if (inputs.size() > 1) progress.emplace("captioning", inputs.size());
  int threads = model_.backend->options().threads;
  if (threads <= 0) threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const DecodeOptions decoding{.allow_truncated = options_.allow_truncated};
  const InterruptionGuard interruption;
  const auto start = Clock::now();
  PictureQueue queue(inputs.size(), options_.batch, {.waiting = threads, .computing = options_.gpu ? threads : 0},
                     [&](std::size_t i) { return read_input(inputs[i], decoding); });
  while (left() > 0 && signal_ == 0) {
    const auto batch_start = Clock::now();
    std::vector<QueuedPicture> pictures = queue.next_batch();
    Batch batch;
    for (QueuedPicture& picture : pictures) {
      const Input& input = inputs[picture.number];
      if (!picture.readable()) {
        report_failure(input, picture.error);
        continue;
      }
      batch.inputs.push_back(&input);
      batch.images.push_back(std::move(picture.image));
    }
    if (!batch.images.empty()) caption_batch(std::move(batch), seconds_since(batch_start));
    for (const auto& output : outputs_) output->flush();
    captioned_ += std::exchange(handed_out_, 0);
    elapsed_ = Clock::now() - start;
    if (progress) progress->advance(pictures.size());
    if (left() > 0) signal_ = interruption.signal();
  }
}

void CaptionRun::caption_batch(Batch batch, double seconds_before) {
  const auto start = Clock::now();
  std::vector<Caption> captions;
  try {
    captions = model_.captioner->caption(batch.images, model_.generation);
  } catch (const Error& error) {
    // What is unsupported here is an option.
    if (error.code() != ErrorCode::invalid_input) throw;
    if (batch.images.size() == 1) return report_failure(*batch.inputs[0], error.what());
    // One of them is to blame; the others get their captions.
    for (std::size_t i = 0; i < batch.images.size(); ++i) {
      Batch alone{{batch.inputs[i]}, {}};
      alone.images.push_back(std::move(batch.images[i]));
      caption_batch(std::move(alone), 0);
    }
    return;
  }
  ++batches_;
  const double seconds = (seconds_before + seconds_since(start)) / static_cast<double>(captions.size());
  for (std::size_t i = 0; i < captions.size(); ++i) {
    Captioned captioned{std::move(captions[i]), seconds, batch.images[i].truncated};
    hand_out(*batch.inputs[i], std::move(captioned));
  }
}

void CaptionRun::hand_out(const Input& input, Captioned captioned) {
  Caption& caption = captioned.caption;
  caption.text = options_.prefix + caption.text + options_.suffix;
  if (captioned.truncated)
    write_to_stderr(
        fmt::format("capdiff: {}: it is damaged; what is left is captioned\n", without_controls(input.name)));
  if (!options_.trace_svg.empty()) write_file_atomically(options_.trace_svg, to_svg(caption.trace, caption.text));
  try {
    for (const auto& output : outputs_)
      if (!output->has(input)) output->add(input, captioned);
  } catch (const Error& error) {
    if (!is_of_picture(error)) throw;
    return report_failure(input, error.what());
  }
  ++handed_out_;
}

void CaptionRun::report_failure(const Input& input, const std::string& reason) {
  ++failed_;
  const bool named = reason.find(input.name) != std::string::npos || input.name == "-";
  write_to_stderr(fmt::format("capdiff: {}\n", without_controls((named ? "" : input.name + ": ") + reason)));
  if (!options_.errors.empty())
    append_line(options_.errors, failure_row(std::time(nullptr), input.name, reason_without(input.name, reason)));
}

std::string CaptionRun::summary() const {
  std::string text = fmt::format("captioned {}, skipped {}, failed {}", captioned_, skipped_, failed_);
  if (captioned_ > 0)
    text += fmt::format("; {:.1f} images/s in batches of {:.1f}", static_cast<double>(captioned_) / elapsed_.count(),
                        static_cast<double>(captioned_) / static_cast<double>(batches_));
  if (!options_.passed_over.empty()) text += "; passed over " + options_.passed_over;
  if (signal_ == 0) return text;
  text = fmt::format("stopped by {}: {}; {} left", signal_ == SIGINT ? "Ctrl-C" : "SIGTERM", text, left());
  if (std::ranges::all_of(outputs_, [](const auto& output) { return output->goes_on(); }))
    text += ". The same command goes on from there";
  return text;
}

}  // namespace capdiff::app
