#include "capdiff/formats/gzip_text.h"

#include <zlib.h>

#include <algorithm>
#include <memory>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/base/utf8.h"

namespace capdiff {

struct CloseGzip {
  void operator()(gzFile file) const { gzclose_r(file); }
};
using GzipFile = std::unique_ptr<gzFile_s, CloseGzip>;

namespace {

constexpr std::size_t kBlock = std::size_t{64} << 10;
constexpr std::size_t kLongestLine = std::size_t{64} << 10;

GzipFile open_gzip(const std::filesystem::path& path) {
  MappedFile::open(path);  // zlib itself would open folders and pipes too
  GzipFile file(gzopen(path.c_str(), "rb"));
  if (!file) fail(ErrorCode::io, "cannot open {}", path.string());
  return file;
}

/// Reads at most kBlock bytes; 0 at the end of the file.
std::size_t read_block(const GzipFile& file, char* to, const std::filesystem::path& path) {
  const int got = gzread(file.get(), to, kBlock);
  int error = Z_OK;
  gzerror(file.get(), &error);
  if (error != Z_OK) fail(ErrorCode::invalid_input, "{}: the gzip data are truncated or damaged", path.string());
  return static_cast<std::size_t>(std::max(got, 0));
}

void limit_text(std::uint64_t bytes, std::uint64_t max_bytes, const std::filesystem::path& path) {
  if (bytes > max_bytes)
    fail(ErrorCode::invalid_input, "{} holds more than {} bytes of text", path.string(), max_bytes);
}

}  // namespace

std::string read_gzip_text(const std::filesystem::path& path, std::size_t max_bytes) {
  const GzipFile file = open_gzip(path);
  if (gzdirect(file.get())) return read_text(path, max_bytes);
  std::string text;
  for (;;) {
    const std::size_t before = text.size();
    text.resize(before + kBlock);
    const std::size_t got = read_block(file, text.data() + before, path);
    text.resize(before + got);
    limit_text(text.size(), max_bytes, path);
    if (got == 0) break;
  }
  if (!is_utf8(text)) fail(ErrorCode::invalid_input, "{}: the text is not UTF-8", path.string());
  return text;
}

struct GzipLineReader::File {
  GzipFile gzip;
};

GzipLineReader::GzipLineReader(const std::filesystem::path& path, std::uint64_t max_bytes)
    : file_(std::make_unique<File>(File{open_gzip(path)})), path_(path), max_bytes_(max_bytes), block_(kBlock) {}

GzipLineReader::~GzipLineReader() = default;

bool GzipLineReader::fill() {
  at_ = 0;
  end_ = read_block(file_->gzip, block_.data(), path_);
  bytes_ += end_;
  limit_text(bytes_, max_bytes_, path_);
  return end_ > 0;
}

bool GzipLineReader::next(std::string& line) {
  line.clear();
  if (at_ == end_ && !fill()) return false;
  ++line_number_;
  for (;;) {
    const char* const begin = block_.data() + at_;
    const char* const end = block_.data() + end_;
    const char* const newline = std::find(begin, end, '\n');
    line.append(begin, newline);
    if (line.size() > kLongestLine)
      fail(ErrorCode::invalid_input, "{}: line {} is longer than {} bytes", path_.string(), line_number_, kLongestLine);
    at_ += static_cast<std::size_t>(newline - begin) + (newline == end ? 0 : 1);
    if (newline != end || !fill()) break;
  }
  if (line.ends_with('\r')) line.pop_back();
  return true;
}

}  // namespace capdiff
