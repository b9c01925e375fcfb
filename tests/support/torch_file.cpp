#include "tests/support/torch_file.h"

#include <zlib.h>

#include <array>
#include <bit>
#include <stdexcept>

namespace capdiff::test {
namespace {

template <class T>
std::string little_endian(T value) {
  const auto bytes = std::bit_cast<std::array<char, sizeof(T)>>(value);
  return {bytes.begin(), bytes.end()};
}

std::string_view bytes_of(const HostTensor& tensor) {
  return {reinterpret_cast<const char*>(tensor.bytes().data()), tensor.byte_size()};
}

std::string_view storage_type(DType dtype) {
  switch (dtype) {
    case DType::f32: return "FloatStorage";
    case DType::f64: return "DoubleStorage";
    case DType::f16: return "HalfStorage";
    case DType::bf16: return "BFloat16Storage";
    case DType::i64: return "LongStorage";
    default: throw std::runtime_error("no storage of this type here");
  }
}

std::vector<std::int64_t> row_major(const Shape& shape) {
  std::vector<std::int64_t> strides(shape.rank(), 1);
  for (std::size_t axis = shape.rank(); axis-- > 1;) strides[axis - 1] = strides[axis] * shape.sizes()[axis];
  return strides;
}

/// A dictionary of the tensors, each in a storage named by its number.
std::string dictionary(const std::map<std::string, HostTensor>& tensors) {
  PickleWriter pickle;
  pickle.raw("}(");
  std::size_t key = 0;
  for (const auto& [name, tensor] : tensors)
    pickle.text(name).tensor(storage_type(tensor.dtype()), std::to_string(key++), tensor.numel(), 0,
                             tensor.shape().sizes(), row_major(tensor.shape()));
  return pickle.raw("u").finish();
}

}  // namespace

PickleWriter& PickleWriter::raw(std::string_view bytes) {
  bytes_ += bytes;
  return *this;
}

PickleWriter& PickleWriter::text(std::string_view text) {
  return raw("X").raw(little_endian(static_cast<std::uint32_t>(text.size()))).raw(text);
}

PickleWriter& PickleWriter::integer(std::int64_t value) {
  return raw("\x8a\x08").raw(little_endian(value));
}

PickleWriter& PickleWriter::integers(const std::vector<std::int64_t>& values) {
  raw("(");
  for (const std::int64_t value : values) integer(value);
  return raw("t");
}

PickleWriter& PickleWriter::global(std::string_view module, std::string_view name) {
  return raw("c").raw(module).raw("\n").raw(name).raw("\n");
}

PickleWriter& PickleWriter::tensor(std::string_view type, std::string_view key, std::int64_t elements,
                                   std::int64_t offset, const std::vector<std::int64_t>& sizes,
                                   const std::vector<std::int64_t>& strides) {
  global("torch._utils", "_rebuild_tensor_v2").raw("((").text("storage").global("torch", type).text(key).text("cpu");
  integer(elements).raw("tQ").integer(offset).integers(sizes).integers(strides);
  return raw("\x89").global("collections", "OrderedDict").raw(")RtR");
}

std::string zip_file(const ZipContents& contents) {
  return zip_file(contents, {});
}

std::string zip_file(const ZipContents& contents, const std::set<std::string>& compressed) {
  std::string file, directory;
  for (const auto& [name, bytes] : contents) {
    // Of compressed entries nothing but their place is ever read; their size is said to be larger.
    const bool deflated = compressed.contains(name);
    const auto crc = static_cast<std::uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
    const auto size = static_cast<std::uint32_t>(bytes.size());
    // Version, flags, method, time, date; then checksum, sizes and lengths, which both kinds of header have.
    const std::string common = std::string("\x14\0\0\0", 4) + std::string(deflated ? "\x08" : "\0", 1) +
                               std::string(5, '\0') + little_endian(crc) + little_endian(size) +
                               little_endian(deflated ? 2 * size + 9 : size) +
                               little_endian(static_cast<std::uint16_t>(name.size())) + std::string(2, '\0');
    directory += std::string("PK\x01\x02\x14\0", 6) + common + std::string(10, '\0') +
                 little_endian(static_cast<std::uint32_t>(file.size())) + name;
    file += "PK\x03\x04" + common + name + bytes;
  }
  const auto count = static_cast<std::uint16_t>(contents.size());
  return file + directory + std::string("PK\x05\x06\0\0\0\0", 8) + little_endian(count) + little_endian(count) +
         little_endian(static_cast<std::uint32_t>(directory.size())) +
         little_endian(static_cast<std::uint32_t>(file.size())) + std::string(2, '\0');
}

std::string torch_zip(const std::string& pickle, const ZipContents& storages) {
  ZipContents contents{{"archive/data.pkl", pickle}};
  for (const auto& [key, bytes] : storages) contents.emplace_back("archive/data/" + key, bytes);
  contents.emplace_back("archive/version", "3\n");
  return zip_file(contents);
}

std::string torch_zip(const std::map<std::string, HostTensor>& tensors) {
  ZipContents storages;
  for (const auto& [name, tensor] : tensors) storages.emplace_back(std::to_string(storages.size()), bytes_of(tensor));
  return torch_zip(dictionary(tensors), storages);
}

namespace {

/// Modules and tensors below the names of `tensors` that begin with `prefix`. Keys of storages are numbers in order.
void write_module(PickleWriter& pickle, const std::map<std::string, HostTensor>& tensors, const std::string& prefix) {
  pickle.global("__torch__.model.___torch_mangle_7", "Module").raw(")\x81}(").text("training").raw("\x89");
  pickle.text("strides")
      .global("torch.jit._pickle", "restore_type_tag")
      .raw(
          "](K\x01K\x02"
          "e")
      .text("List[int]")
      .raw("\x86R");
  pickle.text("_is_full_backward_hook").raw("N");
  std::string last;
  for (auto tensor = tensors.lower_bound(prefix); tensor != tensors.end() && tensor->first.starts_with(prefix);
       ++tensor) {
    const std::string rest = tensor->first.substr(prefix.size());
    const std::string name = rest.substr(0, rest.find('.'));
    if (name == last) continue;
    last = name;
    pickle.text(name);
    if (name == rest)
      pickle.tensor(storage_type(tensor->second.dtype()), std::to_string(std::distance(tensors.begin(), tensor)),
                    tensor->second.numel(), 0, tensor->second.shape().sizes(), row_major(tensor->second.shape()));
    else
      write_module(pickle, tensors, prefix + name + ".");
  }
  pickle.raw("ub");
}

}  // namespace

std::string torch_script(const std::map<std::string, HostTensor>& tensors) {
  PickleWriter pickle;
  write_module(pickle, tensors, "");
  ZipContents contents{{"clip/data.pkl", pickle.finish()},
                       {"clip/code/__torch__/model.py", "deflated"},
                       {"clip/code/__torch__/model.py.debug_pkl", "deflated"}};
  for (const auto& [name, tensor] : tensors)
    contents.emplace_back("clip/data/" + std::to_string(contents.size() - 3), bytes_of(tensor));
  contents.emplace_back("clip/constants.pkl", "\x80\x02).");
  contents.emplace_back("clip/version", "3\n");
  return zip_file(contents, {"clip/code/__torch__/model.py", "clip/code/__torch__/model.py.debug_pkl"});
}

std::string torch_legacy(const std::map<std::string, HostTensor>& tensors) {
  PickleWriter information, keys;
  information.raw("}").text("little_endian").raw("\x88s");
  keys.raw("](");
  std::string storages;
  std::size_t key = 0;
  for (const auto& [name, tensor] : tensors) {
    keys.text(std::to_string(key++));
    storages += little_endian(tensor.numel());
    storages += bytes_of(tensor);
  }
  return PickleWriter().raw("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19").finish() +
         PickleWriter().raw("M\xe9\x03").finish() + information.finish() + dictionary(tensors) +
         keys.raw("e").finish() + storages;
}

}  // namespace capdiff::test
