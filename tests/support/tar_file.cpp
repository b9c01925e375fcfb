#include "tests/support/tar_file.h"

#include <fmt/format.h>

namespace capdiff::test {
namespace {

constexpr std::size_t kBlock = 512, kChecksum = 148;

std::string filled_up(std::string_view data) {
  std::string blocks(data);
  blocks.resize((blocks.size() + kBlock - 1) / kBlock * kBlock, '\0');
  return blocks;
}

}  // namespace

std::string with_tar_field(std::string header, std::size_t position, std::string_view value) {
  header.replace(position, value.size(), value);
  header.replace(kChecksum, 8, "        ");
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  header.replace(kChecksum, 8, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
  return header;
}

std::string tar_header(std::string_view name, std::size_t size, char type, std::string_view prefix) {
  std::string header(kBlock, '\0');
  header.replace(0, name.size(), name);
  header.replace(100, 7, "0000644");
  header.replace(124, 11, fmt::format("{:011o}", size));
  header[156] = type;
  header.replace(257, 8, std::string("ustar\0", 6) + "00");
  header.replace(345, prefix.size(), prefix);
  return with_tar_field(std::move(header), 0, "");
}

std::string tar_member(std::string_view name, std::string_view data, char type) {
  return tar_header(name, data.size(), type) + filled_up(data);
}

std::string tar_file(const std::vector<std::pair<std::string, std::string>>& members) {
  std::string file;
  for (const auto& [name, data] : members) file += tar_member(name, data);
  return file + tar_end();
}

std::string tar_end() {
  return std::string(2 * kBlock, '\0');
}

}  // namespace capdiff::test
