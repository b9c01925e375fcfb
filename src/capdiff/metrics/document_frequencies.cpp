#include "capdiff/metrics/document_frequencies.h"

#include <omp.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/base/parallel.h"
#include "capdiff/formats/gzip_text.h"

namespace capdiff {
namespace {

constexpr std::string_view kTitle = "capdiff document frequencies";
constexpr std::size_t kMaxFileBytes = std::size_t{4} << 30;

/// The captions of an image, in word numbers.
using Captions = std::vector<std::vector<std::uint32_t>>;

/// A line `first<TAB>second` of a file.
struct Fields {
  std::string_view first, second;
};

/// Reads lines of two fields.
class FieldReader {
 public:
  FieldReader(std::string_view text, const std::filesystem::path& path) : rest_(text), path_(path) {}

  bool at_end() const { return rest_.empty(); }

  Fields next() {
    ++line_;
    const std::size_t end = std::min(rest_.find('\n'), rest_.size());
    const std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    const std::size_t tab = line.find('\t');
    if (tab == std::string_view::npos) wrong("two fields with a tab between them");
    return {line.substr(0, tab), line.substr(tab + 1)};
  }

  std::int64_t number(std::string_view text, std::int64_t most) const {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > most)
      wrong(fmt::format("a number from 1 to {}", most));
    return value;
  }

  [[noreturn]] void wrong(std::string_view expected) const {
    fail(ErrorCode::invalid_input, "{}, line {}: not document frequencies; expected {}", path_.string(), line_,
         expected);
  }

 private:
  std::string_view rest_;
  const std::filesystem::path& path_;
  std::size_t line_ = 0;
};

/// Words between single spaces.
Tokens words_of(std::string_view ngram, const FieldReader& reader) {
  Tokens words;
  for (std::size_t begin = 0; begin <= ngram.size();) {
    const std::size_t end = std::min(ngram.find(' ', begin), ngram.size());
    if (end == begin || words.size() == kMaxNgramOrder) reader.wrong("one to four words with single spaces between");
    words.emplace_back(ngram.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

}  // namespace

DocumentFrequencies::DocumentFrequencies(std::span<const std::vector<Tokens>> references) {
  if (references.empty()) fail(ErrorCode::invalid_input, "document frequencies need at least one image");
  std::vector<Captions> numbered(references.size());
  for (std::size_t i = 0; i < references.size(); ++i)
    for (const Tokens& reference : references[i]) numbered[i].push_back(words_.number(reference));
  count(numbered);
}

DocumentFrequencies::DocumentFrequencies(std::span<const ScoredImage> images) {
  require_references(images);
  std::vector<Captions> numbered(images.size());
  for (std::size_t i = 0; i < images.size(); ++i)
    for (const Tokens& reference : images[i].references) numbered[i].push_back(words_.number(reference));
  count(numbered);
}

DocumentFrequencies::DocumentFrequencies(std::span<const Captions> references, WordNumbers words)
    : words_(std::move(words)) {
  if (references.empty()) fail(ErrorCode::invalid_input, "document frequencies need at least one image");
  count(references);
}

void DocumentFrequencies::count(std::span<const Captions> references) {
  images_ = static_cast<std::int64_t>(references.size());
  std::vector<std::vector<Ngram>> ngrams(references.size());
  parallel_for(references.size(), [&](std::size_t i) {
    std::size_t words = 0;
    for (const auto& reference : references[i]) words += reference.size();
    ngrams[i].reserve(words * kMaxNgramOrder);
    for (const auto& reference : references[i]) append_ngrams(ngrams[i], reference);
    std::ranges::sort(ngrams[i]);
    const auto repeated = std::ranges::unique(ngrams[i]);
    ngrams[i].erase(repeated.begin(), repeated.end());
  });
  parallel_ranges(kShards, omp_get_max_threads(), [&](std::int64_t begin, std::int64_t end) {
    constexpr std::size_t kAhead = 16;
    std::vector<Ngram> mine;
    for (const auto& image : ngrams) {
      mine.clear();
      for (const Ngram& ngram : image) {
        const auto shard = static_cast<std::int64_t>(shard_of(ngram));
        if (shard >= begin && shard < end) mine.push_back(ngram);
      }
      for (std::size_t i = 0; i < mine.size(); ++i) {
        if (i + kAhead < mine.size()) prefetch(mine[i + kAhead]);
        ++counts_[shard_of(mine[i])][mine[i]];
      }
    }
  });
}

std::size_t DocumentFrequencies::size() const {
  std::size_t size = 0;
  for (const NgramTable& counts : counts_) size += counts.size();
  return size;
}

void DocumentFrequencies::save(const std::filesystem::path& path, const std::string& tokenizer) const {
  const std::vector<std::string> words = words_.words();
  std::vector<std::pair<std::string, std::int64_t>> lines;
  lines.reserve(size());
  for (const NgramTable& counts : counts_) {
    counts.for_each([&](const Ngram& ngram, std::uint32_t count) {
      std::string text = words[ngram[0] - 1];
      for (std::size_t n = 1; n < order(ngram); ++n) text.append(" ").append(words[ngram[n] - 1]);
      lines.emplace_back(std::move(text), count);
    });
  }
  std::ranges::sort(lines);
  AtomicFileWriter writer(path);
  writer.write(fmt::format("{}\t1\ntokenizer\t{}\nimages\t{}\n", kTitle, tokenizer, images_));
  for (const auto& [ngram, count] : lines) writer.write(fmt::format("{}\t{}\n", count, ngram));
  writer.commit();
}

DocumentFrequencies DocumentFrequencies::load(const std::filesystem::path& path, const std::string& tokenizer) {
  const std::string text = read_gzip_text(path, kMaxFileBytes);
  FieldReader reader(text, path);
  if (const Fields title = reader.next(); title.first != kTitle || title.second != "1")
    reader.wrong(fmt::format("the title \"{}\" and version 1", kTitle));
  const Fields named = reader.next();
  if (named.first != "tokenizer") reader.wrong("the name of the tokeniser");
  if (named.second != tokenizer)
    fail(ErrorCode::invalid_input, "{}: its words were cut by the tokeniser \"{}\", those to score by \"{}\"",
         path.string(), named.second, tokenizer);
  constexpr std::int64_t kMostImages = 1'000'000'000;
  const Fields images = reader.next();
  if (images.first != "images") reader.wrong("the number of images");
  DocumentFrequencies frequencies;
  frequencies.images_ = reader.number(images.second, kMostImages);
  while (!reader.at_end()) {
    const Fields line = reader.next();
    const std::int64_t count = reader.number(line.first, frequencies.images_);
    const auto words = frequencies.words_.number(words_of(line.second, reader));
    Ngram ngram{};
    std::ranges::copy(words, ngram.words.begin());
    std::uint32_t& place = frequencies.counts_[shard_of(ngram)][ngram];
    if (place) reader.wrong("an n-gram that has not been there before");
    place = static_cast<std::uint32_t>(count);
  }
  return frequencies;
}

}  // namespace capdiff
