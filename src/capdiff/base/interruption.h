#pragma once

#include <csignal>

#include "capdiff/base/error.h"

namespace capdiff {

/// Thrown by a long job that was asked to stop and has saved its state.
class Interrupted : public Error {
 public:
  Interrupted(int signal, const std::string& message) : Error(ErrorCode::io, message), signal_(signal) {}
  /// SIGINT or SIGTERM.
  int signal() const { return signal_; }

 private:
  int signal_;
};

/// While it lives, Ctrl-C (SIGINT) and SIGTERM are remembered rather than fatal. A second one ends the process as
/// usual. One at a time.
class InterruptionGuard {
 public:
  InterruptionGuard();
  ~InterruptionGuard();
  InterruptionGuard(const InterruptionGuard&) = delete;
  InterruptionGuard& operator=(const InterruptionGuard&) = delete;

  /// The signal that has come, or 0.
  int signal() const;

 private:
  struct sigaction previous_interrupt_ {};
  struct sigaction previous_terminate_ {};
};

}  // namespace capdiff
