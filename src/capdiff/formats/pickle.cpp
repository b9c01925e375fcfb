#include "capdiff/formats/pickle.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <utility>

#include "capdiff/base/error.h"
#include "capdiff/base/utf8.h"

namespace capdiff {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers of a pickle are little-endian");

constexpr int kHighestProtocol = 5;
constexpr std::size_t kMaxValues = std::size_t{1} << 22;
constexpr std::size_t kMaxOpcodes = std::size_t{1} << 24;
constexpr std::size_t kMaxLine = 256;  // of the few opcodes with an argument in text
constexpr std::string_view kOrderedDict = "collections OrderedDict";
constexpr std::string_view kAnyInPackage = ".*";

/// The opcodes that torch's files have, by the names of Python's pickletools.
enum Opcode : std::uint8_t {
  kMark = '(',
  kStop = '.',
  kPop = '0',
  kPopMark = '1',
  kDup = '2',
  kInt = 'I',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kLong = 'L',
  kBinInt2 = 'M',
  kNone = 'N',
  kBinPersistentId = 'Q',
  kReduce = 'R',
  kBinString = 'T',
  kShortBinString = 'U',
  kBinUnicode = 'X',
  kAppend = 'a',
  kBuild = 'b',
  kGlobal = 'c',
  kDict = 'd',
  kEmptyDict = '}',
  kAppends = 'e',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kList = 'l',
  kEmptyList = ']',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTuple = 't',
  kEmptyTuple = ')',
  kSetItems = 'u',
  kBinFloat = 'G',
  kBinBytes = 'B',
  kShortBinBytes = 'C',
  kProtocol = 0x80,
  kNewObject = 0x81,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
  kLong4 = 0x8b,
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kBinBytes8 = 0x8e,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
};

}  // namespace

/// The stack machine of a pickle.
class PickleMachine {
 public:
  PickleMachine(std::span<const std::byte> bytes, std::span<const std::string_view> globals, const std::string& file)
      : bytes_(bytes), globals_(globals), file_(file) {}

  Pickle run() {
    while (true) {
      at_ = next_;
      if (++opcodes_ > kMaxOpcodes) refuse("has too many opcodes");
      const auto opcode = number<std::uint8_t>();
      if (opcode == kStop) break;
      step(opcode);
    }
    if (stack_.size() != 1 || !marks_.empty()) refuse("does not end with exactly one value");
    pickle_.root_ = stack_.front();
    pickle_.size_ = next_;
    return std::move(pickle_);
  }

 private:
  using Kind = Pickle::Kind;
  using Ref = Pickle::Ref;
  using Value = Pickle::Value;

  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> what, Args&&... args) const {
    fail(ErrorCode::invalid_model, "{}: the pickle {} (byte {})", file_, fmt::format(what, std::forward<Args>(args)...),
         at_);
  }

  void step(std::uint8_t opcode) {
    switch (opcode) {
      case kProtocol: return protocol();
      case kFrame:
        if (number<std::uint64_t>() > bytes_.size() - next_) refuse("is truncated");
        return;

      case kNone: return push({.kind = Kind::none});
      case kNewTrue: return push({.kind = Kind::boolean, .integer = 1});
      case kNewFalse: return push({.kind = Kind::boolean, .integer = 0});
      case kInt: return push_decimal(/*suffix=*/"");
      case kLong: return push_decimal(/*suffix=*/"L");
      case kBinInt: return push_integer(number<std::int32_t>());
      case kBinInt1: return push_integer(number<std::uint8_t>());
      case kBinInt2: return push_integer(number<std::uint16_t>());
      case kLong1: return push_long(number<std::uint8_t>());
      case kLong4: return push_long(number<std::uint32_t>());
      case kBinFloat: take(sizeof(double)); return push({.kind = Kind::real});

      case kShortBinUnicode: return push_text(number<std::uint8_t>());
      case kBinUnicode: return push_text(number<std::uint32_t>());
      case kBinUnicode8: return push_text(number<std::uint64_t>());
      case kShortBinString: return push_text(number<std::uint8_t>());
      case kBinString: return push_text(number<std::uint32_t>());
      case kShortBinBytes: return push({.kind = Kind::bytes, .text = take(number<std::uint8_t>())});
      case kBinBytes: return push({.kind = Kind::bytes, .text = take(number<std::uint32_t>())});
      case kBinBytes8: return push({.kind = Kind::bytes, .text = take(number<std::uint64_t>())});

      case kEmptyTuple: return push({.kind = Kind::tuple});
      case kTuple1: return push({.kind = Kind::tuple, .items = pop(1)});
      case kTuple2: return push({.kind = Kind::tuple, .items = pop(2)});
      case kTuple3: return push({.kind = Kind::tuple, .items = pop(3)});
      case kTuple: return push({.kind = Kind::tuple, .items = pop_to_mark()});
      case kEmptyList: return push({.kind = Kind::list});
      case kList: return push({.kind = Kind::list, .items = pop_to_mark()});
      case kAppend: return extend(Kind::list, pop(1));
      case kAppends: return extend(Kind::list, pop_to_mark());
      case kEmptyDict: return push({.kind = Kind::dict});
      case kDict: {
        const std::vector<Ref> items = pop_to_mark();
        push({.kind = Kind::dict});
        return extend(Kind::dict, items);
      }
      case kSetItem: return extend(Kind::dict, pop(2));
      case kSetItems: return extend(Kind::dict, pop_to_mark());

      case kMark: return marks_.push_back(stack_.size());
      case kPop: return pop_value_or_mark();
      case kPopMark: pop_to_mark(); return;
      case kDup: return push_ref(top());
      case kBinGet: return push_ref(recall(number<std::uint8_t>()));
      case kLongBinGet: return push_ref(recall(number<std::uint32_t>()));
      case kBinPut: return remember(number<std::uint8_t>());
      case kLongBinPut: return remember(number<std::uint32_t>());
      case kMemoize: return remember(memoized_);

      case kGlobal: {
        const std::string_view module = line();
        return push_global(module, line());
      }
      case kStackGlobal: {
        const std::vector<Ref> names = pop(2);
        const Value &module = pickle_[names[0]], &name = pickle_[names[1]];
        if (module.kind != Kind::text || name.kind != Kind::text) refuse("names a global by something that is no text");
        return push_global(module.text, name.text);
      }
      case kReduce: return reduce();
      case kNewObject: return new_object();
      case kBuild: return build();
      case kBinPersistentId: return push({.kind = Kind::persistent, .items = pop(1)});
      default: refuse("has the opcode 0x{:02x}, which no weight file needs", opcode);
    }
  }

  // Reading. Lengths are checked against what is left before anything is read.

  std::string_view take(std::uint64_t count) {
    if (count > bytes_.size() - next_) refuse("is truncated");
    const std::string_view taken(reinterpret_cast<const char*>(bytes_.data()) + next_, static_cast<std::size_t>(count));
    next_ += taken.size();
    return taken;
  }

  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }

  std::string_view line() {
    const std::string_view rest(reinterpret_cast<const char*>(bytes_.data()) + next_, bytes_.size() - next_);
    const std::size_t end = rest.substr(0, kMaxLine).find('\n');
    if (end == std::string_view::npos) refuse("is truncated, or has a line of more than {} bytes", kMaxLine);
    next_ += end + 1;
    return rest.substr(0, end);
  }

  // The stack. Values below the last mark are out of reach.

  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }

  Ref top() const {
    if (stack_.size() <= floor()) refuse("takes a value from an empty stack");
    return stack_.back();
  }

  void push_ref(Ref ref) { stack_.push_back(ref); }

  void push(Value value) {
    if (pickle_.values_.size() >= kMaxValues) refuse("has more than {} values", kMaxValues);
    count_items(value.items.size());
    stack_.push_back(static_cast<Ref>(pickle_.values_.size()));
    pickle_.values_.push_back(std::move(value));
  }

  /// An element takes a byte at least, and is copied at most once; without this bound one list could be the start of
  /// many dictionaries.
  void count_items(std::size_t count) {
    items_ += count;
    if (items_ > 2 * bytes_.size()) refuse("has more elements than bytes");
  }

  std::vector<Ref> pop(std::size_t count) {
    if (stack_.size() - floor() < count) refuse("takes a value from an empty stack");
    std::vector<Ref> values(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return values;
  }

  std::vector<Ref> pop_to_mark() {
    if (marks_.empty()) refuse("takes values down to a mark, and there is none");
    std::vector<Ref> values = pop(stack_.size() - marks_.back());
    marks_.pop_back();
    return values;
  }

  void pop_value_or_mark() {
    if (stack_.size() == floor() && !marks_.empty())
      marks_.pop_back();
    else
      pop(1);
  }

  // The memo. No writer counts higher than it has written bytes.

  void remember(std::size_t index) {
    const Ref value = top();
    if (index >= bytes_.size()) refuse("keeps a value under the number {}", index);
    if (memo_.size() <= index) memo_.resize(index + 1, kNothing);
    memo_[index] = value;
    ++memoized_;
  }

  Ref recall(std::size_t index) const {
    if (index >= memo_.size() || memo_[index] == kNothing) refuse("refers to value {}, which it never kept", index);
    return memo_[index];
  }

  // Values.

  void protocol() {
    if (const int version = number<std::uint8_t>(); version > kHighestProtocol)
      refuse("is of protocol {}; at most {} is known", version, kHighestProtocol);
  }

  void push_integer(std::int64_t value) { push({.kind = Kind::integer, .integer = value}); }

  /// Decimal digits on a line; 00 and 01 are how protocol 1 writes booleans.
  void push_decimal(std::string_view suffix) {
    std::string_view text = line();
    if (text == "00" || text == "01") return push({.kind = Kind::boolean, .integer = text == "01"});
    if (text.ends_with(suffix)) text.remove_suffix(suffix.size());
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) refuse("has a number that is none");
    push_integer(value);
  }

  /// Two's complement of `count` bytes, some of which may only repeat the sign.
  void push_long(std::uint64_t count) {
    std::string_view digits = take(count);
    const bool negative = !digits.empty() && (digits.back() & 0x80) != 0;
    const char sign = negative ? '\xff' : '\0';
    while (digits.size() > 1 && digits.back() == sign && ((digits[digits.size() - 2] & 0x80) != 0) == negative)
      digits.remove_suffix(1);
    if (digits.size() > sizeof(std::int64_t)) return push({.kind = Kind::big_integer, .text = digits});
    std::int64_t value = negative ? -1 : 0;
    std::memcpy(&value, digits.data(), digits.size());
    push_integer(value);
  }

  void push_text(std::uint64_t count) {
    const std::string_view text = take(count);
    if (!is_utf8(text)) refuse("has text that is not UTF-8");
    push({.kind = Kind::text, .text = text});
  }

  void push_global(std::string_view module, std::string_view name) {
    const std::string global = fmt::format("{} {}", module, name);
    if (global == kOrderedDict) return push({.kind = Kind::global, .text = kOrderedDict});
    const auto known = std::find_if(globals_.begin(), globals_.end(), [&](std::string_view name_or_package) {
      if (!name_or_package.ends_with(kAnyInPackage)) return name_or_package == global;
      name_or_package.remove_suffix(kAnyInPackage.size());
      return module.starts_with(name_or_package) &&
             (module.size() == name_or_package.size() || module[name_or_package.size()] == '.');
    });
    if (known == globals_.end())
      refuse("asks for \"{}.{}\", which capdiff never loads", printable(module), printable(name));
    push({.kind = Kind::global, .text = *known});
  }

  void extend(Kind kind, const std::vector<Ref>& items) {
    Value& target = pickle_.values_[top()];
    if (target.kind != kind) refuse("adds an element to what is no {}", kind == Kind::list ? "list" : "dictionary");
    if (kind == Kind::dict && items.size() % 2 != 0) refuse("has a key without a value");
    count_items(items.size());
    target.items.insert(target.items.end(), items.begin(), items.end());
  }

  void reduce() {
    std::vector<Ref> call = pop(2);
    const Value &callable = pickle_[call[0]], &arguments = pickle_[call[1]];
    if (callable.kind != Kind::global || arguments.kind != Kind::tuple) refuse("calls what cannot be called");
    if (callable.text == kOrderedDict) return push({.kind = Kind::dict, .items = ordered_dict(arguments)});
    push({.kind = Kind::call, .items = std::move(call)});
  }

  /// The items of OrderedDict(), or as Python 2 writes it, of OrderedDict([[key, value], …]).
  std::vector<Ref> ordered_dict(const Value& arguments) const {
    std::vector<Ref> items;
    if (arguments.items.empty()) return items;
    const Value& pairs = pickle_[arguments.items.front()];
    if (arguments.items.size() != 1 || pairs.kind != Kind::list) refuse("makes a dictionary of something else");
    for (const Ref ref : pairs.items) {
      const Value& pair = pickle_[ref];
      if ((pair.kind != Kind::list && pair.kind != Kind::tuple) || pair.items.size() != 2)
        refuse("makes a dictionary of something else");
      items.insert(items.end(), pair.items.begin(), pair.items.end());
    }
    return items;
  }

  void new_object() {
    const std::vector<Ref> made = pop(2);
    const Value &type = pickle_[made[0]], &arguments = pickle_[made[1]];
    if (type.kind != Kind::global || !type.text.ends_with(kAnyInPackage)) refuse("makes an object of what is no class");
    if (arguments.kind != Kind::tuple || !arguments.items.empty()) refuse("makes an object with arguments");
    push({.kind = Kind::object});
  }

  /// Attributes: those of an object are kept. A state_dict has its `_metadata`, which says nothing about tensors.
  void build() {
    const Ref state = pop(1).front();
    Value& target = pickle_.values_[top()];
    if ((target.kind != Kind::dict && target.kind != Kind::object) || pickle_[state].kind != Kind::dict)
      refuse("sets attributes of what has none");
    if (target.kind == Kind::dict) return;
    if (!target.items.empty()) refuse("sets the attributes of an object twice");
    target.items = pickle_[state].items;
    count_items(target.items.size());
  }

  static constexpr Ref kNothing = ~Ref{0};

  std::span<const std::byte> bytes_;
  std::span<const std::string_view> globals_;
  const std::string& file_;
  Pickle pickle_;
  std::vector<Ref> stack_;
  std::vector<std::size_t> marks_;
  std::vector<Ref> memo_;
  std::size_t memoized_ = 0;
  std::size_t opcodes_ = 0;
  std::size_t items_ = 0;
  std::size_t at_ = 0;  // the opcode at work
  std::size_t next_ = 0;
};

Pickle Pickle::read(std::span<const std::byte> bytes, std::span<const std::string_view> globals,
                    const std::string& file) {
  return PickleMachine(bytes, globals, file).run();
}

}  // namespace capdiff
