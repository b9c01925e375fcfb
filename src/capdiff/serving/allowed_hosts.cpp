#include "capdiff/serving/allowed_hosts.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace capdiff {
namespace {

std::string in_lower_case(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

/// The host of "host:port" or "[address]:port", in lower case, without brackets and the dot that may end a name; empty
/// where it is neither.
std::string host_of(std::string_view authority) {
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    const std::string_view rest = end == std::string_view::npos ? "?" : authority.substr(end + 1);
    return rest.empty() || rest.starts_with(':') ? in_lower_case(authority.substr(1, end - 1)) : std::string();
  }
  std::string_view host = authority;
  // An IPv6 address without brackets has several colons, and no port.
  if (const std::size_t colon = host.find(':'); colon == host.rfind(':')) host = host.substr(0, colon);
  if (host.ends_with('.')) host.remove_suffix(1);
  return in_lower_case(host);
}

/// What follows "scheme://", or nothing ("null" is what pages without a host of their own send).
std::string_view authority_of(std::string_view origin) {
  const std::size_t begin = origin.find("://");
  return begin == std::string_view::npos ? std::string_view() : origin.substr(begin + 3);
}

}  // namespace

bool is_loopback_host(std::string_view host) {
  if (host == "localhost" || host.ends_with(".localhost")) return true;
  const std::string address(host);
  in_addr v4{};
  if (::inet_pton(AF_INET, address.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  in6_addr v6{};
  if (::inet_pton(AF_INET6, address.c_str(), &v6) != 1) return false;
  return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
}

AllowedHosts::AllowedHosts(const std::vector<std::string>& names) : everything_(false) {
  for (const std::string& name : names) names_.push_back(host_of(name));
}

bool AllowedHosts::is_named(std::string_view host) const {
  return std::ranges::find(names_, host) != names_.end();
}

std::optional<std::string> AllowedHosts::objection(const HttpRequest& head) const {
  if (everything_) return std::nullopt;
  // Without Host it is HTTP/1.0, which no browser speaks.
  const std::string host = host_of(head.host);
  if (!head.host.empty() && !is_loopback_host(host) && !is_named(host))
    return fmt::format("\"{}\" is no name of this server, which asks for no token; --allow-host would make it one",
                       host);
  if (head.method != "POST" || head.origin.empty()) return std::nullopt;
  const std::string_view from = authority_of(head.origin);
  if (in_lower_case(from) == in_lower_case(head.host) || is_named(host_of(from))) return std::nullopt;
  return fmt::format("pages of \"{}\" may not use this server, which asks for no token; --allow-host would let them",
                     head.origin);
}

}  // namespace capdiff
