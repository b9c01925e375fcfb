#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/capdiff/command.h"
#include "capdiff/base/error.h"
#include "capdiff/formats/gzip_text.h"
#include "capdiff/formats/json_reader.h"
#include "capdiff/metrics/ptb_tokenizer.h"
#include "capdiff/text/clip_bpe.h"
#include "capdiff/text/wordpiece.h"

namespace capdiff::app {
namespace {

constexpr std::size_t kMaxVocabularyBytes = std::size_t{16} << 20;

struct TokenizeOptions {
  std::string vocabulary;
  std::string type = "wordpiece";
  std::optional<std::int64_t> length;
};

const std::string& token(const WordPieceTokenizer& tokenizer, std::int64_t id) {
  return tokenizer.vocabulary().token(id);
}

const std::string& token(const ClipBpe& tokenizer, std::int64_t id) {
  return tokenizer.token(id);
}

template <class Tokenizer>
nlohmann::ordered_json tokenized(const Tokenizer& tokenizer, const std::string& text,
                                 std::optional<std::int64_t> length) {
  if (!length) return {{"tokens", tokenizer.tokenize(text)}, {"ids", tokenizer.tokenize_to_ids(text)}};
  const EncodedText encoded = tokenizer.encode(text, *length);
  std::vector<std::string> tokens;
  for (const std::int64_t id : encoded.ids) tokens.push_back(token(tokenizer, id));
  return {{"tokens", tokens}, {"ids", encoded.ids}, {"mask", encoded.attention_mask}};
}

/// Tokens of the treebank, and those that metrics count. As there, a line feed inside the text is a space.
nlohmann::ordered_json ptb_tokenized(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  const Tokens tokens = ptb_tokens(text);
  return {{"tokens", tokens}, {"kept", without_ptb_punctuation(tokens)}};
}

/// Prints a JSON object for each line of standard input.
template <class Tokenize>
int tokenize_lines(Tokenize&& tokenize) {
  std::string line;
  for (std::size_t number = 1; std::getline(std::cin, line); ++number) {
    const std::string source = fmt::format("standard input, line {}", number);
    const nlohmann::json text = parse_json(line, source);
    if (!text.is_string()) fail(ErrorCode::invalid_input, "{}: a JSON string is expected", source);
    fmt::print("{}\n", tokenize(text.get<std::string>()).dump());
  }
  return kDone;
}

int tokenize(const TokenizeOptions& options) {
  if (options.type == "ptb") {
    if (options.length) fail(ErrorCode::usage, "--length does not go with --type ptb, whose tokens have no ids");
    return tokenize_lines(ptb_tokenized);
  }
  if (options.vocabulary.empty()) fail(ErrorCode::usage, "--vocab is required for --type {}", options.type);
  const auto tokenize_with = [&](const auto& tokenizer) {
    return tokenize_lines([&](const std::string& text) { return tokenized(tokenizer, text, options.length); });
  };
  if (options.type == "clip-bpe") return tokenize_with(ClipBpe::load(options.vocabulary));
  return tokenize_with(WordPieceTokenizer(
      Vocabulary::parse(read_gzip_text(options.vocabulary, kMaxVocabularyBytes), options.vocabulary)));
}

}  // namespace

void add_tokenize(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("tokenize", "Cut text into tokens: a JSON string a line in, a JSON object a line out");
  auto options = std::make_shared<TokenizeOptions>();
  command->add_option("--vocab", options->vocabulary, "Vocabulary, plain or compressed with gzip")->type_name("FILE");
  command->add_option("--type", options->type, "Tokeniser")
      ->check(CLI::IsMember({"wordpiece", "clip-bpe", "ptb"}))
      ->capture_default_str();
  command
      ->add_option("--length", options->length,
                   "Add special tokens, and truncate or pad to so many tokens; adds \"mask\" to the output")
      ->check(CLI::Range(2, 1'000'000))
      ->type_name("N");
  add_configuration(*command, action, [options] { return tokenize(*options); });
}

}  // namespace capdiff::app
