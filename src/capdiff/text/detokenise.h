#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "capdiff/text/vocabulary.h"

namespace capdiff {

/// Tokens as running text: joined by spaces, continuation pieces glued to what they continue ("sword ##fish" →
/// "swordfish"), spaces before `. ? ! ,` and around apostrophes removed ("man ' s train" → "man's train"). Special
/// tokens appear as text. Throws Error(invalid_input) for an id outside the vocabulary.
std::string join_pieces(const Vocabulary& vocabulary, std::span<const std::int64_t> ids);

/// `ids` less those that occur in `dropped`.
std::vector<std::int64_t> without_tokens(std::span<const std::int64_t> ids, std::span<const std::int64_t> dropped);

/// Removes every column of `rows` [B, L] that equals the column before it in all rows. A single row loses its adjacent
/// repetitions. Rows of different lengths are an Error(invalid_input).
std::vector<std::vector<std::int64_t>> unique_consecutive_columns(std::vector<std::vector<std::int64_t>> rows);

/// `text` with single spaces, and one of each run of adjacent equal words: positions decoded in parallel stutter.
std::string without_repeated_words(std::string_view text);

/// `text` with single spaces, and one of each phrase that follows itself at once, a full stop behind the last set
/// aside: "walks on the beach on the beach." has one beach.
std::string without_stutter(std::string_view text);

/// The last step of the released code: of adjacent equal words one stays, full stops and spaces at both ends go, and
/// one full stop is put at the end.
std::string tidy_released_caption(std::string_view text);

/// The caption of one row of ids in the profile "released": adjacent equal ids and words are removed, the full stops
/// that fill empty positions go, one ends the caption. The authors remove columns that repeat in a whole batch
/// (`unique_consecutive_columns`); a caption here depends on its own row only, as theirs does for one image.
std::string released_caption(const Vocabulary& vocabulary, std::span<const std::int64_t> ids);

/// The caption of one row of ids in the profile "paper": `join_pieces` without [PAD], [CLS] and [SEP], wherever they
/// stand.
std::string paper_caption(const Vocabulary& vocabulary, std::span<const std::int64_t> ids);

/// What people are shown of a `paper_caption`: without stutter, and without the mark of a continuation piece
/// that has nothing to continue.
std::string tidy_paper_caption(std::string_view text);

}  // namespace capdiff
