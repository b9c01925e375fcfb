#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "capdiff/metrics/ptb_text.h"
#include "capdiff/metrics/ptb_web.h"

namespace capdiff {

/// A token as it is printed, in lower case and UTF-8, and where in the text it began.
struct PtbToken {
  std::size_t begin = 0;
  std::string text;
};

/// Cuts text into the tokens of the Penn Treebank. At each position every rule looks for its token, and may ask for
/// what follows it; the rule that sees furthest wins, and among equals the one that `next` asks first.
/// `characters` must outlive the scanner. It may begin in the middle of them, at the start of a line: no token reaches
/// over a line feed, and what rules look at lies ahead.
class PtbScanner {
 public:
  explicit PtbScanner(std::u32string_view characters, std::size_t begin = 0)
      : text_(characters), web_(text_), at_(begin) {}
  PtbScanner(const PtbScanner&) = delete;
  PtbScanner& operator=(const PtbScanner&) = delete;

  /// The next token, or nothing at the end of the text.
  std::optional<PtbToken> next();

 private:
  /// How the characters of a token are printed.
  enum class Form {
    /// Without soft hyphens, with ASCII quotes.
    word,
    /// Spaces as no-break spaces.
    as_written,
    /// Round brackets by their Treebank names as well.
    bracketed,
  };

  struct Match {
    /// How far the rule looked.
    std::size_t reach = 0;
    std::size_t end = 0;
    /// Where the next token starts: before `end` where a full stop is also a token of its own.
    std::size_t next = 0;
    Form form = Form::word;
    /// Printed in place of the characters, where it is not empty.
    std::u32string_view fixed;
  };

  /// End of ASCII letters with a space behind them, which no rule but that of words can match; `at_` where there are
  /// none. Most tokens of captions are such words, and found without asking all rules.
  std::size_t plain_word_end() const;
  void consider(const Match& match);
  /// A token [at_, end) for which the rule looked as far as `reach`. Nothing if `end` is `at_`.
  void token(std::size_t end, std::size_t reach, Form form = Form::word);
  void token(std::size_t end, Form form = Form::word) { token(end, end, form); }
  /// A token [at_, end), or one with the full stop behind it where a comma, semicolon or colon follows that.
  void word_or_stopped_word(std::size_t end);
  void fixed(std::size_t end, std::u32string_view printed) { consider({end, end, end, Form::word, printed}); }

  // Rules, by what they find.
  void split_words();
  void words();
  void apostrophe_words();
  void web();
  void contractions();
  void numbers();
  void phone_numbers();
  void chunks();
  void currencies();
  void abbreviations();
  void dotted_letters();
  void file_names();
  void punctuation();
  void quotes();
  void opening_quote();
  void brackets_and_entities();
  void dashes_and_dots();
  void emoticons();
  void symbols();

  std::size_t word_end(std::size_t at) const;
  /// Whether `n't` is cut off behind [begin, end).
  bool takes_not(std::size_t begin, std::size_t end) const;
  std::size_t number_end(std::size_t at) const;
  std::size_t chunk_chain_end(std::size_t at) const;
  std::size_t slashed_end(std::size_t at) const;
  /// End of white space at `at` and the sign that a sentence starts behind it, or `at`.
  std::size_t sentence_start(std::size_t at);
  /// What is printed, in the case of the text.
  std::u32string print(std::size_t begin, const Match& match) const;

  PtbText text_;
  PtbWeb web_;
  std::size_t at_ = 0;
  Match best_;
};

}  // namespace capdiff
