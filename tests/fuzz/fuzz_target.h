#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "capdiff/base/error.h"

namespace capdiff::fuzz {

/// Runs `read` on the fuzzer's bytes. Whatever they are, it may refuse them with an `Error` and do nothing worse.
template <class Read>
int refuses_or_reads(const std::uint8_t* data, std::size_t size, Read&& read) {
  try {
    read(std::as_bytes(std::span(data, size)));
  } catch (const Error& error) {
    // A broken input is never our own mistake.
    if (error.code() == ErrorCode::internal) throw;
  }
  return 0;
}

}  // namespace capdiff::fuzz
