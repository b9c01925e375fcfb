#include "capdiff/base/error.h"
#include "capdiff/serving/api_error.h"
#include "capdiff/serving/caption_request.h"
#include "tests/fuzz/fuzz_target.h"

/// The first byte says which kind of body the rest is. What is accepted keeps to the limits.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return capdiff::fuzz::refuses_or_reads(data, size, [](std::span<const std::byte> bytes) {
    static const capdiff::ServedModel kModel{.method = "ladic", .max_words = 12, .clip = true, .generation = {}};
    constexpr capdiff::RequestLimits limits{.max_images = 4};
    if (bytes.empty()) return;
    const std::string_view body(reinterpret_cast<const char*>(bytes.data()) + 1, bytes.size() - 1);
    const int kind = std::to_integer<int>(bytes.front()) % 3;
    const capdiff::CaptionRequest request =
        kind == 0   ? capdiff::parse_chat_request(body, kModel, limits)
        : kind == 1 ? capdiff::parse_caption_request("application/json", body, kModel, limits)
                    : capdiff::parse_caption_request("multipart/form-data; boundary=x", body, kModel, limits);
    const capdiff::GenerationOptions& options = request.options;
    const bool within = !request.pictures.empty() && request.pictures.size() <= limits.max_images &&
                        options.candidates >= 1 && options.candidates <= limits.max_candidates && options.steps >= 1 &&
                        options.steps <= limits.max_steps &&
                        (!options.length || (*options.length >= 1 && *options.length <= kModel.max_words));
    if (!within) capdiff::fail(capdiff::ErrorCode::internal, "a request beyond the limits");
  });
}
