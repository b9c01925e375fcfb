#pragma once

#include <fmt/format.h>

#include <source_location>
#include <stdexcept>
#include <string>
#include <system_error>

namespace capdiff {

/// What went wrong, as far as a caller needs to tell cases apart.
enum class ErrorCode {
  usage,          ///< the command line or a configuration is wrong; exit code 2
  not_found,      ///< a file, folder, tensor or key does not exist
  invalid_input,  ///< an image, caption or data set cannot be read as what it claims to be
  invalid_model,  ///< a model folder, checkpoint or weight file is broken or does not fit
  unsupported,    ///< well-formed, but not something this build or method can do
  io,             ///< the operating system refused to read or write
  internal,       ///< our own mistake
};

/// The only exception type that capdiff throws. `what()` is a sentence for people that names the file, tensor or
/// option concerned and what was expected; `where()` is the throwing line, for bug reports.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message, std::source_location where = std::source_location::current())
      : std::runtime_error(message), code_(code), where_(where) {}

  ErrorCode code() const { return code_; }
  const std::source_location& where() const { return where_; }

 private:
  ErrorCode code_;
  std::source_location where_;
};

/// A format string that remembers where it was written, so that `fail` can report its caller.
template <class... Args>
struct FormatAt {
  fmt::format_string<Args...> format;
  std::source_location where;

  template <class String>
  consteval FormatAt(const String& text, std::source_location at = std::source_location::current())
      : format(text), where(at) {}
};

/// Throws `Error` with an fmt-formatted message.
template <class... Args>
[[noreturn]] void fail(ErrorCode code, FormatAt<std::type_identity_t<Args>...> message, Args&&... args) {
  throw Error(code, fmt::format(message.format, std::forward<Args>(args)...), message.where);
}

/// What the operating system calls one of its error numbers.
inline std::string system_message(int error) {
  return std::generic_category().message(error);
}

}  // namespace capdiff
