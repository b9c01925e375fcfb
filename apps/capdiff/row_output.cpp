#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/capdiff/caption_output.h"
#include "capdiff/backends/processor.h"
#include "capdiff/base/error.h"
#include "capdiff/base/progress.h"
#include "capdiff/base/utf8.h"
#include "capdiff/formats/caption_file.h"
#include "capdiff/selection/near_duplicates.h"

namespace capdiff::app {
namespace {

RowFormat row_format(const std::string& name) {
  static const std::map<std::string, RowFormat> formats{
      {"text", RowFormat::text}, {"jsonl", RowFormat::jsonl}, {"csv", RowFormat::csv}, {"coco", RowFormat::coco}};
  return formats.at(name);
}

class RowOutput final : public CaptionOutput {
 public:
  RowOutput(const OutputOptions& options, const LoadedModel& model, const std::string& format, std::string file,
            bool bare)
      : options_(options),
        model_(model),
        format_(row_format(format)),
        path_(std::move(file)),
        bare_(bare && format_ == RowFormat::text) {
    if (path_ == "-") path_.clear();
    if (format_ == RowFormat::coco && path_.empty())
      fail(ErrorCode::usage, "--format coco is one array, written when all is done; give it a file with -o");
    if (options.trace && format_ != RowFormat::text && format_ != RowFormat::jsonl)
      fail(ErrorCode::usage, "--trace goes with --format text or jsonl");
    if (format_ == RowFormat::csv) header_ = csv_row(columns());
  }

  void claim(std::span<Input> inputs, NamedFiles& files) override {
    if (!path_.empty()) {
      files.add_option("-o", path_);
      files.add_option("-o", path_ + ".part");
    }
    std::map<std::int64_t, const Input*> owners;
    const Input* nameless = nullptr;
    bool any = false;
    for (Input& input : inputs) {
      if (!input.error.empty()) continue;
      if (format_ == RowFormat::coco) {
        const auto id = coco_image_id(input.name);
        if (!id) nameless = &input;
        input.error = coco_objection(input, id, owners);
      } else {
        input.error = objection(input.name);
      }
      any = any || input.error.empty();
    }
    if (nameless && !any) fail(ErrorCode::usage, "--format coco: {}", nameless->error);
  }

  void check(std::span<Input> inputs) override {
    if (path_.empty()) return;
    open();
    if (!file_ || !file_->resumed()) return;
    if (options_.policy() != Existing::skip) refuse_rows_of_others(inputs);
    write_to_stderr(fmt::format("capdiff: going on from {} ({} pictures)\n", file_->part().string(), file_->kept()));
  }

  bool keeps() const override { return stays_ || (file_ && !file_->part().empty()); }

  bool has(const Input& input) const override {
    return stays_ || (file_ && file_->kept() > 0 && file_->has(key_of(input)));
  }

  void add(const Input& input, const Captioned& captioned) override {
    switch (format_) {
      case RowFormat::jsonl: rows_ += json_line(input.name, captioned); return;
      case RowFormat::csv: rows_ += csv_line(input.name, captioned.caption); return;
      case RowFormat::coco: rows_ += coco_row(*coco_image_id(input.name), captioned.caption.text); return;
      case RowFormat::text: rows_ += text_lines(input.name, captioned.caption); return;
    }
  }

  void flush() override {
    if (file_) {
      file_->write(rows_);
    } else {
      if (!header_.empty()) rows_.insert(0, std::exchange(header_, {}));
      if (std::fwrite(rows_.data(), 1, rows_.size(), stdout) != rows_.size() || std::fflush(stdout) != 0)
        fail(ErrorCode::io, "standard output cannot be written to");
    }
    rows_.clear();
  }

  void finish() override {
    if (file_) file_->finish();
  }

  bool goes_on() const override {
    return file_ && !cannot_go_on() && options_.policy() != Existing::overwrite && options_.policy() != Existing::error;
  }

 private:
  /// Whether the rows do not tell which pictures they are of.
  bool cannot_go_on() const { return bare_ || (options_.trace && format_ == RowFormat::text); }

  /// Why a picture of that name cannot have a row; empty where it can.
  std::string objection(const std::string& name) const {
    if (format_ == RowFormat::text && !bare_ && name.find_first_of("\t\n") != std::string::npos)
      return fmt::format("{}: there is a tab or a line break in its name; choose --format jsonl or csv", name);
    if (format_ == RowFormat::csv && !is_utf8(name))
      return fmt::format("{}: its name is not UTF-8, as csv is; choose --format jsonl or text", name);
    return "";
  }

  static std::string coco_objection(const Input& input, std::optional<std::int64_t> id,
                                    std::map<std::int64_t, const Input*>& owners) {
    if (!id)
      return fmt::format(
          "{}: there is no image id in its name; names end in one, as 42.jpg and "
          "COCO_val2014_000000000042.jpg do",
          input.name);
    const auto [owner, free] = owners.emplace(*id, &input);
    return free ? "" : fmt::format("{}: it has the image id of {}", input.name, owner->second->name);
  }

  void open() {
    const std::optional<Existing> policy = options_.policy();
    std::error_code ignored;
    if (policy == Existing::error)
      for (const std::string& file : {path_, path_ + ".part"})
        if (std::filesystem::is_regular_file(file, ignored))
          fail(ErrorCode::io, "{} is there already; see --existing", file);
    if (options_.existing == "skip" && cannot_go_on() && std::filesystem::is_regular_file(path_, ignored) &&
        std::filesystem::file_size(path_, ignored) > 0) {
      if (!bare_)
        fail(ErrorCode::usage,
             "-o {}: what --trace writes does not tell which pictures are done; --existing skip goes "
             "with --format jsonl",
             path_);
      stays_ = true;
      return;
    }
    CaptionFile::Start start = CaptionFile::Start::go_on;
    if (cannot_go_on() || policy == Existing::overwrite) start = CaptionFile::Start::anew;
    if (!cannot_go_on() && policy == Existing::skip) start = CaptionFile::Start::keep_rows;
    file_.emplace(path_,
                  CaptionFile::Layout{.format = format_,
                                      .header = header_,
                                      .several_rows = options_.all && format_ == RowFormat::text,
                                      .settings = options_.settings},
                  start);
  }

  /// Rows of pictures that are not asked for stay only where captions that are there are wanted.
  void refuse_rows_of_others(std::span<const Input> inputs) const {
    std::size_t known = 0;
    for (const Input& input : inputs)
      if (format_ != RowFormat::coco || coco_image_id(input.name)) known += file_->has(key_of(input));
    if (known < file_->kept())
      fail(ErrorCode::usage,
           "{}: {} of the {} pictures in it are not among these; keep them with --existing skip, or begin anew with "
           "--existing overwrite, or remove it",
           file_->part().string(), file_->kept() - known, file_->kept());
  }

  std::string key_of(const Input& input) const {
    return format_ == RowFormat::coco ? std::to_string(*coco_image_id(input.name)) : input.name;
  }

  /// The candidates as they are printed.
  std::vector<Candidate> listed(const Caption& caption) const {
    std::vector<Candidate> candidates = chosen(caption);
    for (Candidate& candidate : candidates) candidate.text = options_.prefix + candidate.text + options_.suffix;
    return candidates;
  }

  /// The candidates to print: with --all the most relevant first, without near-duplicates where these are not wanted.
  std::vector<Candidate> chosen(const Caption& caption) const {
    if (!options_.all) return caption.candidates;
    const std::vector<Candidate> ranked = most_relevant_first(caption);
    if (!options_.distinct) return ranked;
    std::vector<std::string> texts;
    for (const Candidate& candidate : ranked) texts.push_back(candidate.text);
    std::vector<Candidate> distinct;
    for (const std::size_t i : without_near_duplicates(texts, *options_.distinct)) distinct.push_back(ranked[i]);
    return distinct;
  }

  std::string text_lines(const std::string& name, const Caption& caption) const {
    if (options_.trace) return (bare_ ? "" : name + "\n") + to_text(caption.trace) + caption.text + "\n";
    const auto line = [&](const std::string& text) { return bare_ ? text + "\n" : name + "\t" + text + "\n"; };
    if (!options_.all) return line(caption.text);
    std::string lines;
    for (const Candidate& candidate : listed(caption))
      lines += line(fmt::format("{}\t{:.4f}", candidate.text, rank_of(candidate)));
    return lines;
  }

  /// path, caption, and with --all a column for each candidate.
  std::vector<std::string> columns() const {
    std::vector<std::string> names{"path", "caption"};
    if (options_.all)
      for (std::int64_t i = 1; i <= model_.generation.candidates; ++i) names.push_back(fmt::format("candidate_{}", i));
    return names;
  }

  std::string csv_line(const std::string& name, const Caption& caption) const {
    std::vector<std::string> fields{name, caption.text};
    if (options_.all) {
      for (const Candidate& candidate : listed(caption)) fields.push_back(candidate.text);
      fields.resize(2 + static_cast<std::size_t>(model_.generation.candidates));
    }
    return csv_row(fields);
  }

  std::string json_line(const std::string& name, const Captioned& captioned) const {
    const Caption& caption = captioned.caption;
    nlohmann::ordered_json object;
    name_picture(object, name);
    object["caption"] = caption.text;
    for (const Candidate& candidate : listed(caption)) object["candidates"].push_back(to_json(candidate));
    if (options_.trace) object["trace"] = to_json(caption.trace);
    if (!model_.generation.left_to_right) {
      object["steps"] = model_.generation.steps;
      object["guidance"] = model_.generation.guidance;
    }
    object["model"] = model_.path.string();
    object["dtype"] = compute_name(model_.backend->options().compute);
    object["seconds"] = captioned.seconds;
    if (captioned.truncated) object["truncated"] = true;
    return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  }

  const OutputOptions& options_;
  const LoadedModel& model_;
  RowFormat format_;
  std::string path_;  // empty: standard output
  bool bare_;
  bool stays_ = false;  // the only caption is there already
  std::string header_;
  std::optional<CaptionFile> file_;
  std::string rows_;  // of the batch under way
};

}  // namespace

std::unique_ptr<CaptionOutput> make_row_output(const OutputOptions& options, const LoadedModel& model,
                                               const std::string& format, const std::string& file, bool bare) {
  return std::make_unique<RowOutput>(options, model, format, file, bare);
}

}  // namespace capdiff::app
