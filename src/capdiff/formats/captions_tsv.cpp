#include "capdiff/formats/captions_tsv.h"

#include <zlib.h>

#include <algorithm>
#include <memory>
#include <string_view>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/base/utf8.h"

namespace capdiff {
namespace {

constexpr std::size_t kMaxLineBytes = std::size_t{64} << 10;
constexpr std::size_t kMaxTextBytes = std::size_t{4} << 30;  // a small gzip file can unfold without end

/// Lines of a plain or gzip-compressed text file.
class LineReader {
 public:
  explicit LineReader(const std::filesystem::path& path) : path_(path) {
    MappedFile::open(path);  // zlib itself would open folders and pipes too
    file_.reset(gzopen(path.c_str(), "rb"));
    if (!file_) fail(ErrorCode::io, "cannot open {}", path.string());
    buffer_.reserve(2 * kMaxLineBytes);
  }

  /// Moves to the next line, without its end; false after the last.
  bool next(std::string_view& line) {
    std::size_t end = buffer_.find('\n', begin_);
    while (end == std::string::npos && refill()) end = buffer_.find('\n', begin_);
    ++number_;
    if (end == std::string::npos && begin_ == buffer_.size()) return false;
    line = std::string_view(buffer_).substr(begin_, end == std::string::npos ? end : end - begin_);
    if (line.size() > kMaxLineBytes)
      fail(ErrorCode::invalid_input, "{}, line {}: longer than {} bytes", path_.string(), number_, kMaxLineBytes);
    begin_ = end == std::string::npos ? buffer_.size() : end + 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    return true;
  }

  std::size_t number() const { return number_; }

 private:
  struct Close {
    void operator()(gzFile file) const { gzclose_r(file); }
  };

  /// Appends a block to what is left of the buffer; false at the end of the file.
  bool refill() {
    buffer_.erase(0, begin_);
    begin_ = 0;
    if (buffer_.size() > kMaxLineBytes)
      fail(ErrorCode::invalid_input, "{}, line {}: longer than {} bytes", path_.string(), number_ + 1, kMaxLineBytes);
    const std::size_t kept = buffer_.size();
    buffer_.resize(kept + kMaxLineBytes);
    const int got = gzread(file_.get(), buffer_.data() + kept, kMaxLineBytes);
    buffer_.resize(kept + static_cast<std::size_t>(std::max(got, 0)));
    int error = Z_OK;
    gzerror(file_.get(), &error);
    if (error != Z_OK) fail(ErrorCode::invalid_input, "{}: the gzip data are truncated or damaged", path_.string());
    total_ += static_cast<std::size_t>(got);
    if (total_ > kMaxTextBytes)
      fail(ErrorCode::invalid_input, "{} holds more than {} bytes of text", path_.string(), kMaxTextBytes);
    return got > 0;
  }

  std::filesystem::path path_;
  std::unique_ptr<gzFile_s, Close> file_;
  std::string buffer_;
  std::size_t begin_ = 0;
  std::size_t number_ = 0;
  std::size_t total_ = 0;
};

}  // namespace

std::vector<SourcedCaption> read_captions_tsv(const std::filesystem::path& path,
                                              const std::vector<std::string>& sources) {
  std::vector<SourcedCaption> captions;
  LineReader reader(path);
  for (std::string_view line; reader.next(line);) {
    if (line.empty()) continue;
    if (!is_utf8(line)) fail(ErrorCode::invalid_input, "{}, line {}: not UTF-8", path.string(), reader.number());
    const std::size_t tab = line.find('\t');
    if (tab == std::string_view::npos || tab == 0 || tab + 1 == line.size())
      fail(ErrorCode::invalid_input, "{}, line {}: expected a source, a tab and a caption", path.string(),
           reader.number());
    const std::string_view source = line.substr(0, tab);
    if (sources.empty() || std::find(sources.begin(), sources.end(), source) != sources.end())
      captions.push_back({std::string(source), std::string(line.substr(tab + 1))});
  }
  return captions;
}

}  // namespace capdiff
