#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace capdiff {

/// A pickle read as data. Nothing that it names is ever called: a call becomes a value that says what would be called
/// with what, an object is the dictionary of its attributes, and only names that the reader was told of may occur at
/// all. Plain containers, numbers, strings and `collections.OrderedDict` are understood, in protocols 1 to 5. Values
/// refer to each other by index, so values shared, nested deeply or inside themselves are harmless here; whoever walks
/// them has to mind. Strings are views of the pickle's bytes. Memory is a small multiple of the pickle's length,
/// whatever lengths it claims.
class Pickle {
 public:
  using Ref = std::uint32_t;

  enum class Kind {
    none,
    boolean,
    integer,
    big_integer,  ///< beyond 64 bits
    real,         ///< its value is not kept
    text,
    bytes,
    tuple,
    list,
    dict,
    object,  ///< of a class that the reader was told of
    global,
    call,        ///< what REDUCE would have called
    persistent,  ///< what a persistent id would have stood for
  };

  struct Value {
    Kind kind = Kind::none;
    std::int64_t integer = 0;  ///< of integer and boolean
    /// text: UTF-8; bytes: themselves; big_integer: two's complement, little-endian; global: "module name", or
    /// "package.*" for a class of a package.
    std::string_view text = {};
    /// tuple and list: elements; dict: keys and values in turn; object: its attributes in the same way; call: callable
    /// and arguments; persistent: the id.
    std::vector<Ref> items = {};
  };

  /// Reads the pickle at the front of `bytes`, which must outlive it. `globals` are the names it may hold, written
  /// "module name", besides "collections OrderedDict"; "package.*" allows all names in modules of a package, and
  /// objects of them, made without arguments, to which attributes are given once. Throws `Error(invalid_model)` that
  /// names `file` for anything else, malformed or not.
  static Pickle read(std::span<const std::byte> bytes, std::span<const std::string_view> globals,
                     const std::string& file);

  const Value& operator[](Ref ref) const { return values_[ref]; }
  Ref root() const { return root_; }
  /// How many bytes the pickle took.
  std::size_t size() const { return size_; }

 private:
  friend class PickleMachine;

  std::vector<Value> values_;
  Ref root_ = 0;
  std::size_t size_ = 0;
};

}  // namespace capdiff
