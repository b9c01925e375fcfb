#include "capdiff/formats/gzip_text.h"

#include <zlib.h>

#include <algorithm>
#include <memory>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/base/utf8.h"

namespace capdiff {

std::string read_gzip_text(const std::filesystem::path& path, std::size_t max_bytes) {
  struct Close {
    void operator()(gzFile file) const { gzclose_r(file); }
  };
  constexpr std::size_t kBlock = std::size_t{64} << 10;
  MappedFile::open(path);  // zlib itself would open folders and pipes too
  const std::unique_ptr<gzFile_s, Close> file(gzopen(path.c_str(), "rb"));
  if (!file) fail(ErrorCode::io, "cannot open {}", path.string());
  if (gzdirect(file.get())) return read_text(path, max_bytes);
  std::string text;
  for (;;) {
    const std::size_t before = text.size();
    text.resize(before + kBlock);
    const int got = gzread(file.get(), text.data() + before, kBlock);
    text.resize(before + static_cast<std::size_t>(std::max(got, 0)));
    int error = Z_OK;
    gzerror(file.get(), &error);
    if (error != Z_OK) fail(ErrorCode::invalid_input, "{}: the gzip data are truncated or damaged", path.string());
    if (text.size() > max_bytes)
      fail(ErrorCode::invalid_input, "{} holds more than {} bytes of text", path.string(), max_bytes);
    if (got == 0) break;
  }
  if (!is_utf8(text)) fail(ErrorCode::invalid_input, "{}: the text is not UTF-8", path.string());
  return text;
}

}  // namespace capdiff
