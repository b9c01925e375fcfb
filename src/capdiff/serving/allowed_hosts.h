#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "capdiff/serving/http.h"

namespace capdiff {

/// Whether a name or address, without a port, always is this machine: localhost, 127.0.0.0/8, ::1.
bool is_loopback_host(std::string_view host);

/// By which names a server may be asked that wants no token. A browser on its machine also runs pages of other sites:
/// what they send names another host (after DNS rebinding), or says that it comes from another one.
class AllowedHosts {
 public:
  /// Allows everything.
  AllowedHosts() = default;
  /// Allows this machine's loopback names, and `names`.
  explicit AllowedHosts(const std::vector<std::string>& names);

  /// Why a request is refused; nothing where it is not.
  std::optional<std::string> objection(const HttpRequest& head) const;

 private:
  bool is_named(std::string_view host) const;

  bool everything_ = true;
  std::vector<std::string> names_;  // in lower case, without ports
};

}  // namespace capdiff
