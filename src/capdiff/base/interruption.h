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

/// While it lives, Ctrl-C (SIGINT) and SIGTERM are remembered rather than fatal. A second one, of either
/// kind, ends the process as usual. One at a time.
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

/// Ends the process as the signal would have: a shell then ends its loop too, which an exit code of 128 + n does not
/// tell it to do. Returns where the signal does not end the process, as that of a container.
void end_by(int signal);

}  // namespace capdiff
