#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "capdiff/tensor/host_tensor.h"

namespace capdiff::test {

/// Writes pickles opcode by opcode, right ones and wrong ones.
class PickleWriter {
 public:
  PickleWriter& raw(std::string_view bytes);
  PickleWriter& text(std::string_view text);
  /// A number of any size as LONG1.
  PickleWriter& integer(std::int64_t value);
  PickleWriter& integers(const std::vector<std::int64_t>& values);  ///< a tuple
  PickleWriter& global(std::string_view module, std::string_view name);
  /// A tensor of `elements` in a storage of torch.`type`, called `key`.
  PickleWriter& tensor(std::string_view type, std::string_view key, std::int64_t elements, std::int64_t offset,
                       const std::vector<std::int64_t>& sizes, const std::vector<std::int64_t>& strides);

  /// The whole pickle, with protocol and STOP.
  std::string finish() const { return std::string("\x80\x02", 2) + bytes_ + "."; }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

/// Names and contents in order.
using ZipContents = std::vector<std::pair<std::string, std::string>>;

/// A zip file of stored entries.
std::string zip_file(const ZipContents& contents);

/// The same with the entries named in `compressed` marked as deflated. Their contents have to be so already.
std::string zip_file(const ZipContents& contents, const std::set<std::string>& compressed);

/// A zip checkpoint with this data.pkl and these storages by key.
std::string torch_zip(const std::string& pickle, const ZipContents& storages);

/// A checkpoint with a flat dictionary of tensors, zip or legacy.
std::string torch_zip(const std::map<std::string, HostTensor>& tensors);
/// A TorchScript archive of modules whose attributes are the tensors, by the dots in their names, and flags, as
/// torch.jit.save writes it: with compressed source texts.
std::string torch_script(const std::map<std::string, HostTensor>& tensors);
std::string torch_legacy(const std::map<std::string, HostTensor>& tensors);

}  // namespace capdiff::test
