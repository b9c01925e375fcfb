#pragma once

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "capdiff/metrics/caption_tokens.h"
#include "capdiff/metrics/scored_image.h"
#include "capdiff/text/unicode.h"

namespace capdiff::test {

inline constexpr double kMetricTolerance = 1e-9;

/// Members stay in the order of the file, which is the order of the images.
inline nlohmann::ordered_json read_json(const std::filesystem::path& path) {
  std::ifstream file(path);
  return nlohmann::ordered_json::parse(file);
}

/// "a dog runs" → {"a", "dog", "runs"}
inline Tokens words(std::string_view text) {
  return split_white_space(text);
}

using Cut = Tokens (*)(std::string_view);

inline std::vector<Tokens> cut_all(const nlohmann::ordered_json& captions, Cut cut = words) {
  std::vector<Tokens> tokens;
  for (const auto& caption : captions) tokens.push_back(cut(caption.get<std::string>()));
  return tokens;
}

/// A case of edge_cases.json.
inline std::vector<ScoredImage> edge_case_images(const nlohmann::ordered_json& edge_case, Cut cut = words) {
  std::vector<ScoredImage> images;
  for (const auto& [id, references] : edge_case.at("references").items()) {
    const auto candidate = edge_case.at("results").at(id).at(0).get<std::string>();
    images.push_back({id, cut(candidate), cut_all(references, cut)});
  }
  return images;
}

/// The images of a pair of COCO files, in the order of their first annotation.
inline std::vector<EvaluatedCaption> coco_images(const std::filesystem::path& folder, const std::string& name) {
  std::vector<EvaluatedCaption> images;
  std::map<std::int64_t, std::size_t> positions;
  const auto annotations = read_json(folder / (name + "_annotations.json"));
  for (const auto& annotation : annotations.at("annotations")) {
    const auto id = annotation.at("image_id").get<std::int64_t>();
    const auto [position, added] = positions.emplace(id, images.size());
    if (added) images.push_back({std::to_string(id), "", {}});
    images[position->second].references.push_back(annotation.at("caption").get<std::string>());
  }
  for (const auto& result : read_json(folder / (name + "_results.json"))) {
    images.at(positions.at(result.at("image_id").get<std::int64_t>())).candidate =
        result.at("caption").get<std::string>();
  }
  return images;
}

}  // namespace capdiff::test

/// Compares a MetricResult with metric `name` of {"corpus": …, "per_image": …}.
#define CAPDIFF_EXPECT_METRIC(result, expected, name)                                                  \
  do {                                                                                                 \
    const auto& metric_result = (result);                                                              \
    EXPECT_NEAR(metric_result.corpus, (expected).at("corpus").at(name).get<double>(),                  \
                ::capdiff::test::kMetricTolerance)                                                     \
        << name;                                                                                       \
    const auto per_image = (expected).at("per_image").at(name).get<std::vector<double>>();             \
    ASSERT_EQ(metric_result.per_image.size(), per_image.size()) << name;                               \
    for (std::size_t image = 0; image < per_image.size(); ++image) {                                   \
      EXPECT_NEAR(metric_result.per_image[image], per_image[image], ::capdiff::test::kMetricTolerance) \
          << name << " of image " << image;                                                            \
    }                                                                                                  \
  } while (false)
