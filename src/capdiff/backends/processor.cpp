#include "capdiff/backends/processor.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <array>
#include <cstring>

namespace capdiff {
namespace {

/// The four registers that the instruction CPUID answers with; zeros where there is no answer.
struct CpuId {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

CpuId cpu_id([[maybe_unused]] unsigned leaf, [[maybe_unused]] unsigned part = 0) {
  CpuId id;
#if defined(__x86_64__)
  if (!__get_cpuid_count(leaf, part, &id.a, &id.b, &id.c, &id.d)) return {};
#endif
  return id;
}

constexpr unsigned kAmxBf16 = 1u << 22, kAmxTile = 1u << 24, kAmxInt8 = 1u << 25;  // of leaf 7, register d

}  // namespace

DType automatic_compute_type() {
  const CpuId id = cpu_id(7);
  return (id.d & kAmxBf16) && (id.d & kAmxTile) ? DType::bf16 : DType::f32;
}

std::string processor_name() {
  std::array<char, 3 * sizeof(CpuId)> name{};
  for (unsigned i = 0; i < 3; ++i) {
    const CpuId part = cpu_id(0x80000002u + i);
    std::memcpy(name.data() + i * sizeof(part), &part, sizeof(part));
  }
  std::string text(name.data(), ::strnlen(name.data(), name.size()));
  const auto first = text.find_first_not_of(' ');
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(' ') - first + 1);
}

std::vector<std::string> processor_flags() {
  const CpuId seven = cpu_id(7), seven_one = cpu_id(7, 1);
  std::vector<std::string> flags;
  const auto add = [&](const char* name, unsigned bits, unsigned bit) {
    if (bits & bit) flags.emplace_back(name);
  };
  add("avx2", seven.b, 1u << 5);
  add("avx512", seven.b, 1u << 16);
  add("avx512_vnni", seven.c, 1u << 11);
  add("avx512_bf16", seven_one.a, 1u << 5);
  add("amx_bf16", seven.d, kAmxBf16);
  add("amx_int8", seven.d, kAmxInt8);
  return flags;
}

DType compute_type_of(std::string_view name) {
  for (const DType compute : {DType::f32, DType::bf16, DType::i8})
    if (name == compute_name(compute)) return compute;
  return automatic_compute_type();
}

std::string_view compute_name(DType compute) {
  return compute == DType::bf16 ? "bf16" : compute == DType::i8 ? "int8" : "f32";
}

}  // namespace capdiff
