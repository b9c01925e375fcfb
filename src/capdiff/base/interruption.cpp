#include "capdiff/base/interruption.h"

#include <cstdio>

namespace capdiff {
namespace {

volatile std::sig_atomic_t received = 0;

extern "C" void remember_signal(int signal) {
  if (received == 0) {
    received = signal;
    return;
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);  // acts when this handler returns
}

}  // namespace

InterruptionGuard::InterruptionGuard() {
  received = 0;
  struct sigaction action {};
  action.sa_handler = remember_signal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, &previous_interrupt_);
  sigaction(SIGTERM, &action, &previous_terminate_);
}

InterruptionGuard::~InterruptionGuard() {
  sigaction(SIGINT, &previous_interrupt_, nullptr);
  sigaction(SIGTERM, &previous_terminate_, nullptr);
}

int InterruptionGuard::signal() const {
  return received;
}

void end_by(int signal) {
  std::fflush(nullptr);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace capdiff
