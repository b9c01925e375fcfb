#include "capdiff/metrics/meteor_stemmer.h"

#include <libstemmer.h>

#include <limits>

#include "capdiff/base/error.h"

namespace capdiff {

void MeteorStemmer::Delete::operator()(sb_stemmer* stemmer) const {
  sb_stemmer_delete(stemmer);
}

MeteorStemmer::MeteorStemmer() : stemmer_(sb_stemmer_new("english", "UTF_8")) {
  if (!stemmer_) fail(ErrorCode::unsupported, "this build of libstemmer has no English stemmer for UTF-8");
}

std::string MeteorStemmer::stem(std::string_view word) {
  if (word.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) return std::string(word);
  const auto* stem =
      sb_stemmer_stem(stemmer_.get(), reinterpret_cast<const sb_symbol*>(word.data()), static_cast<int>(word.size()));
  if (!stem) fail(ErrorCode::internal, "libstemmer ran out of memory");
  return {reinterpret_cast<const char*>(stem), static_cast<std::size_t>(sb_stemmer_length(stemmer_.get()))};
}

}  // namespace capdiff
