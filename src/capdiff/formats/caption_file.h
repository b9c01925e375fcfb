#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_set>

#include "capdiff/formats/caption_rows.h"

namespace capdiff {

/// A file of captions that grows batch by batch and outlives its process. Rows are appended to `FILE.part` and
/// outlive the process when `write` returns; `finish` flushes them to disk and gives the file its name, so that FILE is
/// always whole. A later run finds the rows of one that was killed in `FILE.part`, less the last one where it is not
/// whole, and goes on behind them. What that run was set to stands in `FILE.part.settings`. Devices and pipes
/// (/dev/stdout) are written to directly. Two runs cannot write the same file at once. All errors are `Error(io)` or
/// `Error(invalid_input)` that names the file.
class CaptionFile {
 public:
  /// What a new run begins with.
  enum class Start {
    go_on,      ///< the rows of FILE.part, where there is one; an `Error(usage)` if a run with other settings left it
    keep_rows,  ///< the rows of FILE.part whatever the settings; where there is none, the rows of FILE
    anew,       ///< nothing
  };
  struct Layout {
    RowFormat format = RowFormat::text;
    std::string header = {};    ///< the first row of csv
    bool several_rows = false;  ///< whether a picture may have several rows
    std::string settings = {};  ///< what decides the rows, a line each; empty: nothing is written or compared
  };

  CaptionFile(std::filesystem::path path, Layout layout, Start start);
  /// Leaves FILE.part for the next run, if it has any row.
  ~CaptionFile();
  CaptionFile(const CaptionFile&) = delete;
  CaptionFile& operator=(const CaptionFile&) = delete;

  /// Whether the rows at the beginning had this picture: its path, for coco its id.
  bool has(const std::string& key) const { return keys_.contains(key); }
  /// How many pictures they had.
  std::size_t kept() const { return keys_.size(); }
  /// Whether they were in FILE.part.
  bool resumed() const { return resumed_; }
  /// Empty where FILE is a device or a pipe.
  const std::filesystem::path& part() const { return part_; }

  /// Appends whole rows.
  void write(std::string_view rows);
  /// Makes FILE appear. Nothing may be written afterwards.
  void finish();

 private:
  void open(Start start);
  void begin_with_rows_of_file();
  void open_part();
  void settle_settings(Start start);
  void remove_part() const;
  std::filesystem::path settings_file() const { return part_.string() + ".settings"; }
  void keep_whole_rows(bool several_rows);

  std::filesystem::path path_;
  Layout layout_;
  std::filesystem::path part_;  // empty where FILE is no regular file
  std::unordered_set<std::string> keys_;
  bool has_rows_ = false, resumed_ = false;
  int descriptor_ = -1;
};

}  // namespace capdiff
