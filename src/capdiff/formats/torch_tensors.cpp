#include "capdiff/formats/torch_tensors.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "capdiff/base/error.h"
#include "capdiff/base/utf8.h"

namespace capdiff {
namespace {

using Kind = Pickle::Kind;

constexpr std::size_t kMaxPathDepth = 64;
constexpr std::size_t kMaxTensorRank = 32;
constexpr std::size_t kMaxPathBytes = 4096;
constexpr std::size_t kMaxVisits = std::size_t{1} << 21;     // containers may be shared, and then count once per path
constexpr std::size_t kMaxAllPaths = std::size_t{64} << 20;  // bytes of all paths together

constexpr std::string_view kRebuildTensor = "torch._utils _rebuild_tensor_v2";
constexpr std::string_view kRebuildParameter = "torch._utils _rebuild_parameter";
/// The functions from the third on only say what type a container of TorchScript has; its modules are instances of
/// classes in __torch__.
constexpr std::array<std::string_view, 18> kGlobals{kRebuildTensor,
                                                    kRebuildParameter,
                                                    "torch.jit._pickle restore_type_tag",
                                                    "torch.jit._pickle build_intlist",
                                                    "torch.jit._pickle build_tensorlist",
                                                    "torch.jit._pickle build_doublelist",
                                                    "torch.jit._pickle build_boollist",
                                                    "__torch__.*",
                                                    "torch FloatStorage",
                                                    "torch HalfStorage",
                                                    "torch BFloat16Storage",
                                                    "torch DoubleStorage",
                                                    "torch LongStorage",
                                                    "torch IntStorage",
                                                    "torch ShortStorage",
                                                    "torch CharStorage",
                                                    "torch ByteStorage",
                                                    "torch BoolStorage"};
constexpr auto kTypeTags = std::span(kGlobals).subspan<2, 5>();
constexpr std::array<DType, 10> kStorageTypes{DType::f32, DType::f16, DType::bf16, DType::f64, DType::i64,
                                              DType::i32, DType::i16, DType::i8,   DType::u8,  DType::boolean};
constexpr std::size_t kFirstStorage = kGlobals.size() - kStorageTypes.size();

/// Walks the values of a pickle and collects its tensors.
class Collector {
 public:
  Collector(const Pickle& pickle, const std::string& file) : pickle_(pickle), file_(file) {}

  std::map<std::string, TorchTensor, std::less<>> collect() {
    visit(pickle_.root(), 0);
    return std::move(tensors_);
  }

 private:
  using Ref = Pickle::Ref;
  using Value = Pickle::Value;

  [[noreturn]] void refuse(std::string_view what) const {
    fail(ErrorCode::invalid_model, "{}: \"{}\" {}", file_, printable(path_), what);
  }

  void visit(Ref tagged, std::size_t depth) {
    const Ref ref = without_type_tags(tagged);
    const Value& value = pickle_[ref];
    visits_ += 1 + value.items.size();
    if (visits_ > kMaxVisits) fail(ErrorCode::invalid_model, "{} holds too many values", file_);
    switch (value.kind) {
      case Kind::call: return add(value);
      case Kind::tuple:
      case Kind::list:
        require_shallow(depth);
        for (std::size_t i = 0; i < value.items.size(); ++i)
          if (may_hold_tensors(value.items[i])) descend(std::to_string(i), value.items[i], depth);
        return;
      case Kind::dict:
      case Kind::object:
        require_shallow(depth);
        for (std::size_t i = 0; i < value.items.size(); i += 2)
          if (may_hold_tensors(value.items[i + 1])) descend(key(value.items[i]), value.items[i + 1], depth);
        return;
      case Kind::global:
      case Kind::persistent: refuse("is neither a tensor nor plain data");
      default: return;
    }
  }

  /// The container in a call such as restore_type_tag([], "List[int]"). What it is given was there before the call, so
  /// this comes to an end.
  Ref without_type_tags(Ref ref) {
    while (pickle_[ref].kind == Kind::call &&
           std::find(kTypeTags.begin(), kTypeTags.end(), name_of_call(pickle_[ref])) != kTypeTags.end()) {
      ++visits_;
      const Value& arguments = pickle_[pickle_[ref].items[1]];
      if (arguments.items.empty()) refuse("is a container made of nothing");
      ref = arguments.items.front();
    }
    return ref;
  }

  void require_shallow(std::size_t depth) const {
    if (depth >= kMaxPathDepth)
      fail(ErrorCode::invalid_model, "{}: nested deeper than {} levels", file_, kMaxPathDepth);
  }

  bool may_hold_tensors(Ref ref) const {
    switch (pickle_[ref].kind) {
      case Kind::tuple:
      case Kind::list:
      case Kind::dict:
      case Kind::object: return !pickle_[ref].items.empty();
      case Kind::call:
      case Kind::global:
      case Kind::persistent: return true;
      default: return false;
    }
  }

  std::string key(Ref ref) const {
    const Value& value = pickle_[ref];
    if (value.kind == Kind::text) return std::string(value.text.substr(0, kMaxPathBytes + 1));
    if (value.kind == Kind::integer) return std::to_string(value.integer);
    refuse("has a key that is neither text nor an integer");
  }

  void descend(const std::string& name, Ref ref, std::size_t depth) {
    const std::size_t length = path_.size();
    if (depth > 0) path_ += '.';
    path_ += name;
    if (path_.size() > kMaxPathBytes) refuse("has too long a name");
    visit(ref, depth + 1);
    path_.resize(length);
  }

  // What torch._utils._rebuild_parameter(tensor, requires_grad, hooks) and
  // torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks, metadata = None) were given.

  void add(const Value& call) {
    const Value* tensor = &call;
    if (name_of_call(*tensor) == kRebuildParameter) {
      const Value& arguments = pickle_[tensor->items[1]];
      if (arguments.items.size() != 3) refuse("is a parameter made of something else");
      tensor = &pickle_[arguments.items[0]];
    }
    if (tensor->kind != Kind::call || name_of_call(*tensor) != kRebuildTensor) refuse("is not a tensor");
    TorchTensor read = rebuild(pickle_[tensor->items[1]].items);
    all_paths_ += path_.size();
    if (all_paths_ > kMaxAllPaths) fail(ErrorCode::invalid_model, "{} holds too many tensors", file_);
    if (!tensors_.emplace(path_, std::move(read)).second) refuse("is there twice");
  }

  std::string_view name_of_call(const Value& call) const { return pickle_[call.items[0]].text; }

  TorchTensor rebuild(const std::vector<Ref>& arguments) const {
    if (arguments.size() != 6 && arguments.size() != 7) refuse("is a tensor made of something else");
    // Metadata says that values are to be negated or conjugated.
    if (arguments.size() == 7) {
      const Value& metadata = pickle_[arguments[6]];
      if (metadata.kind != Kind::none && (metadata.kind != Kind::dict || !metadata.items.empty()))
        refuse("is a tensor with metadata, which capdiff does not read");
    }
    TorchTensor tensor = storage(pickle_[arguments[0]]);
    tensor.offset = count(arguments[1], "storage offset");
    const std::vector<std::int64_t> sizes = counts(arguments[2], "size");
    tensor.strides = counts(arguments[3], "stride");
    if (sizes.size() != tensor.strides.size()) refuse("has not as many strides as sizes");
    std::int64_t bytes = static_cast<std::int64_t>(size_of(tensor.dtype));
    for (const std::int64_t size : sizes)
      if (__builtin_mul_overflow(bytes, size, &bytes)) refuse("has a size that overflows");
    tensor.shape = Shape(sizes);
    require_within_storage(tensor);
    return tensor;
  }

  /// ('storage', torch.FloatStorage, key, location, elements), and in the legacy format a sixth: None, or a window.
  TorchTensor storage(const Value& persistent) const {
    if (persistent.kind != Kind::persistent) refuse("is a tensor without a storage");
    const Value& id = pickle_[persistent.items[0]];
    const std::size_t parts = id.kind == Kind::tuple ? id.items.size() : 0;
    if ((parts != 5 && parts != 6) || pickle_[id.items[0]].text != "storage")
      refuse("has a storage that is not described as one");
    if (parts == 6 && pickle_[id.items[5]].kind != Kind::none) refuse("has a storage that is a window on another");
    const Value &type = pickle_[id.items[1]], &name = pickle_[id.items[2]];
    const auto known = std::find(kGlobals.begin() + kFirstStorage, kGlobals.end(), type.text);
    if (type.kind != Kind::global || known == kGlobals.end()) refuse("has a storage of no known type");
    if (name.kind != Kind::text) refuse("has a storage without a name");
    TorchTensor tensor;
    tensor.dtype = kStorageTypes[static_cast<std::size_t>(known - kGlobals.begin()) - kFirstStorage];
    tensor.storage = name.text;
    tensor.storage_numel = count(id.items[4], "number of elements");
    return tensor;
  }

  std::int64_t count(Ref ref, std::string_view what) const {
    const Value& value = pickle_[ref];
    if (value.kind != Kind::integer) refuse("has a " + std::string(what) + " that is not an integer of 64 bits");
    if (value.integer < 0) refuse("has a negative " + std::string(what));
    return value.integer;
  }

  std::vector<std::int64_t> counts(Ref ref, std::string_view what) const {
    const Value& value = pickle_[ref];
    if (value.kind != Kind::tuple || value.items.size() > kMaxTensorRank)
      refuse("has a " + std::string(what) + " that is not a tuple of a few numbers");
    std::vector<std::int64_t> result;
    for (const Ref item : value.items) result.push_back(count(item, what));
    return result;
  }

  void require_within_storage(const TorchTensor& tensor) const {
    if (tensor.shape.numel() == 0) return;
    std::int64_t last = tensor.offset;
    bool overflow = false;
    for (std::size_t axis = 0; axis < tensor.strides.size(); ++axis) {
      std::int64_t step = 0;
      overflow |= __builtin_mul_overflow(tensor.shape.sizes()[axis] - 1, tensor.strides[axis], &step);
      overflow |= __builtin_add_overflow(last, step, &last);
    }
    if (overflow || last >= tensor.storage_numel) refuse("reaches beyond the end of its storage");
  }

  const Pickle& pickle_;
  const std::string& file_;
  std::map<std::string, TorchTensor, std::less<>> tensors_;
  std::string path_;
  std::size_t visits_ = 0;
  std::size_t all_paths_ = 0;
};

}  // namespace

std::span<const std::string_view> torch_globals() {
  return kGlobals;
}

std::map<std::string, TorchTensor, std::less<>> torch_tensors(const Pickle& pickle, const std::string& file) {
  return Collector(pickle, file).collect();
}

}  // namespace capdiff
