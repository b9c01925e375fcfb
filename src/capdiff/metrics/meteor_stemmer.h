#pragma once

#include <memory>
#include <string>
#include <string_view>

struct sb_stemmer;

namespace capdiff {

/// Snowball's English stemmer (Porter2), as libstemmer has it. One thread at a time may use one.
class MeteorStemmer {
 public:
  MeteorStemmer();

  /// The stem of a word in lower case (UTF-8).
  std::string stem(std::string_view word);

 private:
  struct Delete {
    void operator()(sb_stemmer* stemmer) const;
  };
  std::unique_ptr<sb_stemmer, Delete> stemmer_;
};

}  // namespace capdiff
