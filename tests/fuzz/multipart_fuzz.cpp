#include <algorithm>
#include <string_view>

#include "capdiff/base/error.h"
#include "capdiff/serving/multipart.h"
#include "tests/fuzz/fuzz_target.h"

/// The first line is a Content-Type, the rest a body. Parts lie in the body, in order, and do not overlap.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return capdiff::fuzz::refuses_or_reads(data, size, [](std::span<const std::byte> bytes) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const std::size_t line = std::min(text.find('\n'), text.size());
    const std::string_view body = text.substr(std::min(line + 1, text.size()));
    const char* free = body.data();
    for (const capdiff::FormPart& part : capdiff::parse_form(body, text.substr(0, line), 16)) {
      if (part.name.empty() || part.content.data() < free ||
          part.content.data() + part.content.size() > body.data() + body.size())
        capdiff::fail(capdiff::ErrorCode::internal, "a part that does not lie in the body");
      free = part.content.data() + part.content.size();
    }
  });
}
