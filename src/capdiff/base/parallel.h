#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <exception>

namespace capdiff {

/// Calls body(begin, end) on contiguous parts of [0, n), one part a thread. The first exception of any part is
/// rethrown.
template <class Body>
void parallel_ranges(std::int64_t n, int threads, Body&& body) {
  threads = static_cast<int>(std::min<std::int64_t>(threads, n));
  if (threads <= 1) {
    if (n > 0) body(std::int64_t{0}, n);
    return;
  }
  std::exception_ptr failure;
#pragma omp parallel num_threads(threads)
  {
    const std::int64_t team = omp_get_num_threads();
    const std::int64_t part = omp_get_thread_num();
    const std::int64_t share = n / team;
    const std::int64_t extra = n % team;
    const std::int64_t begin = part * share + std::min(part, extra);
    const std::int64_t end = begin + share + (part < extra ? 1 : 0);
    try {
      if (begin < end) body(begin, end);
    } catch (...) {
#pragma omp critical(capdiff_parallel_failure)
      if (!failure) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

/// Calls body(i) for every i of [0, n) on all threads, in contiguous parts.
template <class Body>
void parallel_for(std::size_t n, Body&& body) {
  parallel_ranges(static_cast<std::int64_t>(n), omp_get_max_threads(), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) body(static_cast<std::size_t>(i));
  });
}

}  // namespace capdiff
