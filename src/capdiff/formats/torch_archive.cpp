#include "capdiff/formats/torch_archive.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <utility>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/base/suggestion.h"
#include "capdiff/base/utf8.h"

namespace capdiff {
namespace {

static_assert(std::endian::native == std::endian::little, "storages are little-endian, and are used in place");

constexpr std::size_t kMaxPickleBytes = std::size_t{64} << 20;

/// The legacy format begins with a pickle of this number, then one of the version.
constexpr std::string_view kMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
constexpr std::int64_t kLegacyVersion = 1001;

/// Bytes of a storage of `numel` elements, or nothing on overflow.
std::optional<std::uint64_t> storage_bytes(const TorchTensor& tensor) {
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(static_cast<std::uint64_t>(tensor.storage_numel), size_of(tensor.dtype), &bytes))
    return std::nullopt;
  return bytes;
}

bool is_contiguous(const TorchTensor& tensor) {
  std::int64_t expected = 1;
  for (std::size_t axis = tensor.strides.size(); axis-- > 0;) {
    const std::int64_t size = tensor.shape.sizes()[axis];
    if (size != 1 && tensor.strides[axis] != expected) return false;
    expected *= size;
  }
  return true;
}

/// Copies the elements of a strided tensor in row-major order. `source` is the tensor's first element.
template <std::size_t kSize>
void gather(const TorchTensor& tensor, const std::byte* source, std::byte* out) {
  const std::vector<std::int64_t>& sizes = tensor.shape.sizes();
  std::vector<std::int64_t> index(sizes.size(), 0);
  std::int64_t at = 0;
  for (std::int64_t i = 0; i < tensor.shape.numel(); ++i, out += kSize) {
    std::memcpy(out, source + at * static_cast<std::int64_t>(kSize), kSize);
    for (std::size_t axis = sizes.size(); axis-- > 0;) {
      if (sizes[axis] == 1) continue;  // its stride may be any number
      at += tensor.strides[axis];
      if (++index[axis] < sizes[axis]) break;
      at -= sizes[axis] * tensor.strides[axis];
      index[axis] = 0;
    }
  }
}

/// The pickles of a legacy file, one behind the other.
class LegacyReader {
 public:
  LegacyReader(std::span<const std::byte> bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  Pickle next_pickle(std::span<const std::string_view> globals) {
    const std::span<const std::byte> rest = bytes_.subspan(position_);
    Pickle pickle = Pickle::read(rest.first(std::min(rest.size(), kMaxPickleBytes)), globals, file_);
    position_ += pickle.size();
    return pickle;
  }

  std::span<const std::byte> take(std::uint64_t count) {
    if (count > bytes_.size() - position_) fail(ErrorCode::invalid_model, "{} is truncated", file_);
    const auto taken = bytes_.subspan(position_, static_cast<std::size_t>(count));
    position_ += taken.size();
    return taken;
  }

  bool at_end() const { return position_ == bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
  const std::string& file_;
  std::size_t position_ = 0;
};

/// Throws unless the third pickle of a legacy file describes a little-endian machine.
void require_little_endian(const Pickle& pickle, const std::string& file) {
  const Pickle::Value& information = pickle[pickle.root()];
  if (information.kind == Pickle::Kind::dict)
    for (std::size_t i = 0; i < information.items.size(); i += 2) {
      const Pickle::Value &key = pickle[information.items[i]], &value = pickle[information.items[i + 1]];
      if (key.text == "little_endian" && value.kind == Pickle::Kind::boolean && value.integer == 1) return;
    }
  fail(ErrorCode::unsupported, "{} was not written on a little-endian machine", file);
}

}  // namespace

TorchArchive TorchArchive::open(const std::filesystem::path& path) {
  std::shared_ptr<const MappedFile> file = MappedFile::open(path);
  const std::span<const std::byte> bytes = file->bytes();
  return parse(bytes, std::move(file), path.string());
}

bool TorchArchive::recognises(std::span<const std::byte> bytes) {
  return looks_like_zip(bytes) || (!bytes.empty() && bytes[0] == std::byte{0x80});
}

TorchArchive TorchArchive::parse(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                                 std::string name) {
  TorchArchive archive;
  archive.name_ = std::move(name);
  archive.owner_ = std::move(owner);
  if (!recognises(bytes)) fail(ErrorCode::invalid_model, "{} is not a torch checkpoint", archive.name_);
  if (looks_like_zip(bytes))
    archive.read_zip(bytes);
  else
    archive.read_legacy(bytes);
  archive.require_modest(bytes.size());
  return archive;
}

void TorchArchive::read_zip(std::span<const std::byte> bytes) {
  const ZipArchive zip = ZipArchive::parse(bytes, name_);
  // All entries lie in one folder, whose name is free.
  constexpr std::string_view kPickle = "/data.pkl";
  std::optional<std::string> root;
  for (const auto& [entry, record] : zip.entries()) {
    if (!entry.ends_with(kPickle)) continue;
    if (root) fail(ErrorCode::invalid_model, "{} has more than one data.pkl", name_);
    root = entry.substr(0, entry.size() - kPickle.size());
    if (record.bytes.size() > kMaxPickleBytes)
      fail(ErrorCode::invalid_model, "{}: data.pkl has {} bytes", name_, record.bytes.size());
  }
  if (!root) fail(ErrorCode::invalid_model, "{} is a zip file without data.pkl, and no torch checkpoint", name_);
  if (const std::string order = *root + "/byteorder"; zip.find(order)) {
    const auto value = zip.read(order);
    if (std::string_view(reinterpret_cast<const char*>(value.data()), value.size()) != "little")
      fail(ErrorCode::unsupported, "{} does not declare itself little-endian", name_);
  }
  entries_ = torch_tensors(Pickle::read(zip.read(*root + std::string(kPickle)), torch_globals(), name_), name_);

  for (const auto& [name, tensor] : entries_) {
    const std::string entry = *root + "/data/" + tensor.storage;
    const ZipArchive::Entry* const record = zip.find(entry);
    if (!record)
      fail(ErrorCode::invalid_model, "{}: tensor \"{}\" is in the entry \"{}\", which is missing", name_, name,
           printable(entry));
    if (storage_bytes(tensor) != record->bytes.size())
      fail(ErrorCode::invalid_model, "{}: tensor \"{}\" needs a storage of {} elements of {}, and \"{}\" has {} bytes",
           name_, name, tensor.storage_numel, name_of(tensor.dtype), printable(entry), record->bytes.size());
    std::shared_ptr<Storage>& storage = storages_[tensor.storage];
    if (storage) continue;
    storage = std::make_shared<Storage>();
    storage->data = *record;
    storage->entry = entry;
  }
}

void TorchArchive::read_legacy(std::span<const std::byte> bytes) {
  LegacyReader in(bytes, name_);
  const Pickle magic = in.next_pickle({});
  if (magic[magic.root()].kind != Pickle::Kind::big_integer || magic[magic.root()].text != kMagic)
    fail(ErrorCode::invalid_model, "{} is a pickle, but no torch checkpoint", name_);
  const Pickle version = in.next_pickle({});
  if (version[version.root()].kind != Pickle::Kind::integer || version[version.root()].integer != kLegacyVersion)
    fail(ErrorCode::unsupported, "{} is of a version of the legacy format that capdiff does not read", name_);
  require_little_endian(in.next_pickle({}), name_);
  entries_ = torch_tensors(in.next_pickle(torch_globals()), name_);

  std::map<std::string_view, const TorchTensor*> wanted;  // by key of the storage
  for (const auto& [name, tensor] : entries_) {
    const TorchTensor& first = *wanted.emplace(tensor.storage, &tensor).first->second;
    if (first.dtype != tensor.dtype || first.storage_numel != tensor.storage_numel)
      fail(ErrorCode::invalid_model, "{}: tensor \"{}\" describes its storage otherwise than another does", name_,
           name);
  }
  const Pickle keys = in.next_pickle({});
  if (keys[keys.root()].kind != Pickle::Kind::list) fail(ErrorCode::invalid_model, "{} has no list of storages", name_);
  for (const Pickle::Ref ref : keys[keys.root()].items) {
    const Pickle::Value& key = keys[ref];
    const auto found = wanted.find(key.text);
    if (key.kind != Pickle::Kind::text || found == wanted.end())
      fail(ErrorCode::invalid_model, "{} has a storage \"{}\" that no tensor uses", name_, printable(key.text));
    std::int64_t numel = 0;
    std::memcpy(&numel, in.take(sizeof(numel)).data(), sizeof(numel));
    const std::optional<std::uint64_t> size = storage_bytes(*found->second);
    if (numel != found->second->storage_numel || !size)
      fail(ErrorCode::invalid_model, "{}: the storage \"{}\" has {} elements where {} are expected", name_,
           printable(key.text), numel, found->second->storage_numel);
    const auto storage = std::make_shared<Storage>();
    storage->data.bytes = in.take(*size);
    storage->verified = true;
    if (!storages_.emplace(key.text, storage).second)
      fail(ErrorCode::invalid_model, "{} has the storage \"{}\" twice", name_, printable(key.text));
  }
  if (storages_.size() != wanted.size()) fail(ErrorCode::invalid_model, "{} lacks storages of its tensors", name_);
  if (!in.at_end()) fail(ErrorCode::invalid_model, "{} goes on after the last storage", name_);
}

/// A tensor with strides of 0 can have any number of elements; none that a model needs is larger than its file.
void TorchArchive::require_modest(std::size_t file_bytes) const {
  for (const auto& [name, tensor] : entries_)
    if (static_cast<std::uint64_t>(tensor.shape.numel()) > file_bytes / size_of(tensor.dtype))
      fail(ErrorCode::invalid_model, "{}: tensor \"{}\" of shape {} is larger than the file", name_, name,
           to_string(tensor.shape));
}

HostTensor TorchArchive::tensor(std::string_view name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) {
    std::vector<std::string> names;
    for (const auto& [known, tensor] : entries_) names.push_back(known);
    fail(ErrorCode::not_found, "{} has no tensor \"{}\"{}", name_, name, suggestion(name, names));
  }
  const TorchTensor& tensor = found->second;
  const std::size_t element = size_of(tensor.dtype);
  const auto count = static_cast<std::size_t>(tensor.shape.numel());
  if (count == 0) return HostTensor(tensor.dtype, tensor.shape);

  Storage& storage = *storages_.find(tensor.storage)->second;
  if (!storage.verified.load(std::memory_order_relaxed)) {
    require_checksum(storage.data, storage.entry, name_);
    storage.verified.store(true, std::memory_order_relaxed);
  }
  const std::byte* const first = storage.data.bytes.data() + static_cast<std::size_t>(tensor.offset) * element;
  HostTensor result;
  if (is_contiguous(tensor) && reinterpret_cast<std::uintptr_t>(first) % element == 0) {
    result = HostTensor::view(tensor.dtype, tensor.shape, {first, count * element}, owner_);
  } else {
    result = HostTensor(tensor.dtype, tensor.shape);
    std::byte* const out = result.mutable_bytes().data();
    if (is_contiguous(tensor))
      std::memcpy(out, first, count * element);
    else if (element == 8)
      gather<8>(tensor, first, out);
    else if (element == 4)
      gather<4>(tensor, first, out);
    else if (element == 2)
      gather<2>(tensor, first, out);
    else
      gather<1>(tensor, first, out);
  }
  const auto bytes = result.bytes();
  if (tensor.dtype == DType::boolean &&
      std::any_of(bytes.begin(), bytes.end(), [](std::byte value) { return value > std::byte{1}; }))
    fail(ErrorCode::invalid_model, "{}: tensor \"{}\" is BOOL and holds bytes other than 0 and 1", name_, name);
  return result;
}

}  // namespace capdiff
