#include "capdiff/serving/open_files.h"

#include <sys/resource.h>

#include <algorithm>

#include "capdiff/serving/http_server.h"

namespace capdiff {
namespace {

/// Models, the log, the sockets that listen and wake, and some to spare.
constexpr rlim_t kOwnFiles = 16 + kSurplusConnections;

}  // namespace

std::size_t connections_that_fit(std::size_t wanted) {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY) return wanted;
  const rlim_t needed = wanted + kOwnFiles;
  if (files.rlim_cur < needed) {
    const rlim_t before = files.rlim_cur;
    files.rlim_cur = std::min(needed, files.rlim_max);
    if (::setrlimit(RLIMIT_NOFILE, &files) != 0) files.rlim_cur = before;
  }
  return std::min(wanted, static_cast<std::size_t>(std::max(files.rlim_cur, kOwnFiles + 1) - kOwnFiles));
}

}  // namespace capdiff
