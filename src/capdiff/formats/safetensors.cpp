#include "capdiff/formats/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/base/suggestion.h"
#include "capdiff/formats/safetensors_header.h"

namespace capdiff {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian, and are used in place");

constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kMaxHeaderBytes = 100'000'000;  // the limit of the reference implementation
constexpr std::size_t kDataAlignment = 64;

/// Throws unless the tensors, in order of their offsets, cover `data_size` bytes without holes or overlap.
void require_exact_cover(const std::map<std::string, SafetensorsFile::Entry, std::less<>>& entries,
                         std::size_t data_size, const std::string& file) {
  std::vector<std::pair<std::string_view, const SafetensorsFile::Entry*>> by_offset;
  by_offset.reserve(entries.size());
  for (const auto& [name, entry] : entries) by_offset.emplace_back(name, &entry);
  std::sort(by_offset.begin(), by_offset.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second->begin, a.second->end) < std::pair(b.second->begin, b.second->end);
  });
  std::size_t covered = 0;
  for (const auto& [name, entry] : by_offset) {
    if (entry->begin != covered)
      fail(ErrorCode::invalid_model, "{}: tensor \"{}\" begins at byte {}, and the one before it ends at byte {}", file,
           name, entry->begin, covered);
    covered = entry->end;
  }
  if (covered != data_size)
    fail(ErrorCode::invalid_model, "{}: the tensors need {} bytes of data, and the file has {}; it may be truncated",
         file, covered, data_size);
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  std::shared_ptr<const MappedFile> file = MappedFile::open(path);
  const std::span<const std::byte> bytes = file->bytes();
  return parse(bytes, std::move(file), path.string());
}

SafetensorsFile SafetensorsFile::parse(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                                       std::string name) {
  if (bytes.size() < kLengthBytes)
    fail(ErrorCode::invalid_model, "{} is not a safetensors file: it has only {} bytes", name, bytes.size());
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), kLengthBytes);
  if (header_bytes > kMaxHeaderBytes)
    fail(ErrorCode::invalid_model, "{} is not a safetensors file: it claims a header of {} bytes", name, header_bytes);
  if (header_bytes > bytes.size() - kLengthBytes)
    fail(ErrorCode::invalid_model, "{} is truncated: its header has {} bytes, and the file {}", name, header_bytes,
         bytes.size());

  const auto header_size = static_cast<std::size_t>(header_bytes);
  SafetensorsFile file;
  file.name_ = std::move(name);
  file.owner_ = std::move(owner);
  file.data_ = bytes.subspan(kLengthBytes + header_size);
  SafetensorsHeader header =
      parse_safetensors_header({reinterpret_cast<const char*>(bytes.data()) + kLengthBytes, header_size}, file.name_);
  file.metadata_ = std::move(header.metadata);
  file.entries_ = std::move(header.entries);
  require_exact_cover(file.entries_, file.data_.size(), file.name_);
  return file;
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  names.reserve(entries_.size());
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return names;
}

HostTensor SafetensorsFile::tensor(std::string_view name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end())
    fail(ErrorCode::not_found, "{} has no tensor \"{}\"{}", name_, name, suggestion(name, names()));
  const Entry& entry = found->second;
  const std::span<const std::byte> bytes = data_.subspan(entry.begin, entry.end - entry.begin);
  if (entry.dtype == DType::boolean &&
      std::any_of(bytes.begin(), bytes.end(), [](std::byte value) { return value > std::byte{1}; }))
    fail(ErrorCode::invalid_model, "{}: tensor \"{}\" is BOOL and holds bytes other than 0 and 1", name_, name);
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % size_of(entry.dtype) == 0)
    return HostTensor::view(entry.dtype, entry.shape, bytes, owner_);
  HostTensor copy(entry.dtype, entry.shape);
  std::copy(bytes.begin(), bytes.end(), copy.mutable_bytes().begin());
  return copy;
}

HostTensor SafetensorsFile::tensor(std::string_view name, const Shape& expected) const {
  HostTensor result = tensor(name);
  if (result.shape() != expected)
    fail(ErrorCode::invalid_model, "{}: tensor \"{}\" has shape {}; expected {}", name_, name,
         to_string(result.shape()), to_string(expected));
  return result;
}

void write_safetensors(const std::filesystem::path& path, const std::map<std::string, HostTensor>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::map<std::string, TensorType> types;
  for (const auto& [name, tensor] : tensors) types.emplace(name, TensorType{tensor.dtype(), tensor.shape()});
  write_safetensors(
      path, types, [&](const std::string& name) { return tensors.at(name); }, metadata);
}

void write_safetensors(const std::filesystem::path& path, const std::map<std::string, TensorType>& types,
                       const std::function<HostTensor(const std::string& name)>& load,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<std::pair<std::string, TensorType>> ordered(types.begin(), types.end());
  std::stable_sort(ordered.begin(), ordered.end(),
                   [](const auto& a, const auto& b) { return size_of(a.second.dtype) > size_of(b.second.dtype); });

  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kSafetensorsMetadata] = metadata;
  std::size_t offset = 0;
  for (const auto& [name, type] : ordered) {
    if (name == kSafetensorsMetadata)
      fail(ErrorCode::internal, "a tensor cannot be called \"{}\"", kSafetensorsMetadata);
    const std::size_t end = offset + static_cast<std::size_t>(type.shape.numel()) * size_of(type.dtype);
    header[name] = {{"dtype", name_of(type.dtype)}, {"shape", type.shape.sizes()}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.append((kDataAlignment - (kLengthBytes + text.size()) % kDataAlignment) % kDataAlignment, ' ');
  if (text.size() > kMaxHeaderBytes)
    fail(ErrorCode::unsupported, "{} would need a header of {} bytes; at most {} can be read again", path.string(),
         text.size(), kMaxHeaderBytes);

  AtomicFileWriter writer(path);
  const auto length = std::bit_cast<std::array<std::byte, kLengthBytes>>(std::uint64_t{text.size()});
  writer.write(length);
  writer.write(text);
  for (const auto& [name, type] : ordered) {
    const HostTensor tensor = load(name);
    if (tensor.dtype() != type.dtype || tensor.shape() != type.shape)
      fail(ErrorCode::internal, "tensor \"{}\" is not of the type that was announced", name);
    writer.write(tensor.bytes());
  }
  writer.commit();
}

void require_finite(const HostTensor& tensor, std::string_view name, std::string_view file) {
  // A number is finite unless all bits of its exponent are set.
  const auto first_with_exponent = [&]<class T>(T exponent) -> std::optional<std::size_t> {
    const std::span<const T> bits{reinterpret_cast<const T*>(tensor.bytes().data()),
                                  static_cast<std::size_t>(tensor.numel())};
    const auto is_bad = [exponent](T b) { return (b & exponent) == exponent; };
    // Gigabytes pass here while a model loads. Whole blocks of a fixed size are tested at once, which compilers turn
    // into vector instructions, and only a bad one is searched.
    constexpr std::size_t kBlock = 256;
    std::size_t begin = 0;
    for (; begin + kBlock <= bits.size(); begin += kBlock) {
      T bad = 0;
      for (std::size_t i = 0; i < kBlock; ++i) bad |= static_cast<T>(is_bad(bits[begin + i]));
      if (bad != 0) break;
    }
    const auto rest = bits.subspan(begin);
    const auto found = std::ranges::find_if(rest, is_bad);
    if (found != rest.end()) return begin + static_cast<std::size_t>(found - rest.begin());
    return std::nullopt;
  };
  std::optional<std::size_t> position;
  switch (tensor.dtype()) {
    case DType::f64: position = first_with_exponent(std::uint64_t{0x7ff} << 52); break;
    case DType::f32: position = first_with_exponent(std::uint32_t{0xff} << 23); break;
    case DType::bf16: position = first_with_exponent(std::uint16_t{0x7f80}); break;
    case DType::f16: position = first_with_exponent(std::uint16_t{0x7c00}); break;
    default: return;
  }
  if (position)
    fail(ErrorCode::invalid_model, "{}: element {} of tensor \"{}\" is not a finite number; the file is damaged", file,
         *position, name);
}

}  // namespace capdiff
