#include "capdiff/evaluation/verify_meteor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/evaluation/caption_matching.h"
#include "capdiff/formats/json_reader.h"
#include "capdiff/metrics/meteor.h"
#include "capdiff/text/unicode.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;
using MeteorImages = std::vector<ScoredImage>;

constexpr std::size_t kMaxMeteorBytes = std::size_t{64} << 20;

fs::path find_meteor_data(const fs::path& folder, const std::optional<fs::path>& given) {
  if (given) return *given;
  std::vector<fs::path> places{folder / "meteor"};
  if (const char* data = std::getenv("CAPDIFF_DATA"); data && *data) places.push_back(fs::path(data) / "meteor");
  places.push_back(folder / ".." / ".." / "data" / "meteor");
  for (const fs::path& place : places)
    if (fs::is_directory(place)) return place;
  fail(ErrorCode::not_found, "{}: the METEOR data of these goldens are not there; name them with --meteor-data",
       places.back().string());
}

/// JSON whose objects keep the order of the file, which is the order of the images.
OrderedJson read_ordered_json(const fs::path& path) {
  const std::string text = read_text(path, kMaxMeteorBytes);
  parse_json(text, path.string());  // refuses what is not JSON or nested too deeply
  return OrderedJson::parse(text);
}

ScoredImage image_of(std::string id, std::string_view candidate, const std::vector<std::string>& references) {
  ScoredImage image{std::move(id), split_white_space(candidate), {}};
  for (const std::string& reference : references) image.references.push_back(split_white_space(reference));
  return image;
}

MeteorImages pairs_of(const Json& candidates, const Json& references) {
  MeteorImages images;
  for (std::size_t i = 0; i < candidates.size(); ++i)
    images.push_back(image_of(std::to_string(i), candidates.at(i).get<std::string>(), references.at(i)));
  return images;
}

/// The images of NAME_annotations.json and NAME_results.json that `ids` lists, in its order.
MeteorImages coco_images(const fs::path& folder, const std::string& name, const Json& ids) {
  std::map<std::string, EvaluatedCaption> captions;
  for (EvaluatedCaption& caption :
       match_captions(read_reference_captions(folder / (name + "_annotations.json")),
                      read_caption_results(folder / (name + "_results.json")), Coverage::partial)
           .captions)
    captions.emplace(caption.id, std::move(caption));
  MeteorImages images;
  for (const std::int64_t id : ids.get<std::vector<std::int64_t>>()) {
    const auto found = captions.find(std::to_string(id));
    if (found == captions.end())
      fail(ErrorCode::invalid_input, "{}: image {} of {} has no caption or no references", folder.string(), id, name);
    images.push_back(image_of(found->first, found->second.candidate, found->second.references));
  }
  return images;
}

template <class Value>
std::vector<Value> values_of(const Json& text) {
  std::istringstream stream(text.get<std::string>());
  return {std::istream_iterator<Value>(stream), std::istream_iterator<Value>()};
}

MeteorModule module_of(const std::string& name) {
  if (name == "exact") return MeteorModule::exact;
  if (name == "stem") return MeteorModule::stem;
  if (name == "synonym") return MeteorModule::synonym;
  if (name == "paraphrase") return MeteorModule::paraphrase;
  fail(ErrorCode::invalid_input, "METEOR has no module '{}'", name);
}

/// The modules of a golden with METEOR's usual weights.
std::vector<MeteorWeight> first_modules(std::size_t count) {
  std::vector<MeteorWeight> modules = MeteorOptions().modules;
  modules.resize(count);
  return modules;
}

MeteorOptions options_of(const Json& config) {
  MeteorOptions options;
  const auto parameters = values_of<double>(config.at("parameters"));
  const auto modules = values_of<std::string>(config.at("modules"));
  const auto weights = values_of<double>(config.at("weights"));
  if (parameters.size() != 4 || weights.size() != modules.size())
    fail(ErrorCode::invalid_input, "a METEOR configuration has four parameters, and a weight for each module");
  options.alpha = parameters[0];
  options.beta = parameters[1];
  options.gamma = parameters[2];
  options.delta = parameters[3];
  options.modules.clear();
  for (std::size_t i = 0; i < modules.size(); ++i) options.modules.push_back({module_of(modules[i]), weights[i]});
  options.beam = config.at("beam").get<std::size_t>();
  if (config.at("config").get<std::string>().find("norm_nopunct") != std::string::npos)
    options.punctuation = MeteorPunctuation::remove;
  return options;
}

/// JSON has no NaN.
Json number_or_null(double number) {
  return std::isnan(number) ? Json() : Json(number);
}

/// The 23 numbers of METEOR's statistics, as it prints them.
std::string text_of(const MeteorStatistics& statistics) {
  std::vector<std::int64_t> numbers{statistics.hypothesis_words, statistics.reference_words,
                                    statistics.hypothesis_function_words, statistics.reference_function_words};
  for (const MeteorModuleCounts& counts : statistics.modules)
    numbers.insert(numbers.end(), {counts.hypothesis_content, counts.reference_content, counts.hypothesis_function,
                                   counts.reference_function});
  numbers.insert(numbers.end(), {statistics.chunks, statistics.hypothesis_matches(), statistics.reference_matches()});
  return fmt::format("{}.0", fmt::join(numbers, ".0 "));
}

Json alignment_of(const MeteorScore& score) {
  Json alignment = Json::array();
  for (const MeteorMatch& match : score.alignment)
    alignment.push_back({match.hypothesis_begin, match.reference_begin, match.module});
  return alignment;
}

MeteorStatistics sum(std::span<const MeteorScore> scores) {
  MeteorStatistics corpus;
  for (const MeteorScore& score : scores) corpus += score.statistics;
  return corpus;
}

std::vector<double> values(std::span<const MeteorScore> scores) {
  std::vector<double> values;
  for (const MeteorScore& score : scores) values.push_back(score.values.score);
  return values;
}

class MeteorVerification {
 public:
  MeteorVerification(const fs::path& folder, const fs::path& data, GoldenReport& report)
      : folder_(folder), resources_(MeteorResources::from_folder(data)), report_(report) {}

  /// Metrics called METEOR… of {"corpus": …, "per_image": …}.
  void expected(const std::string& path, const Json& golden, const MeteorImages& images) {
    for (const auto& [name, corpus] : golden.at("corpus").items()) {
      if (!name.starts_with("METEOR")) continue;
      MeteorOptions options;
      if (name == "METEOR" || name == "METEOR_without_paraphrases") {
        options.modules = first_modules(3);
      } else if (name == "METEOR_exact_stem") {
        options.modules = first_modules(2);
      } else if (name == "METEOR_exact_only") {
        options.modules = first_modules(1);
      } else {
        report_.fail_check(fmt::format("json.{}.corpus.{}", path, name), "nothing here computes it");
        continue;
      }
      const MetricResult result = meteor(images, Meteor(resources_, options));
      compare(path + ".corpus." + name, corpus, result.corpus);
      compare(path + ".per_image." + name, golden.at("per_image").at(name), result.per_image);
    }
  }

  void expected_file(const std::string& name, const Json& golden) {
    expected(name + "_expected", golden, coco_images(folder_, name, golden.at("image_ids")));
  }

  void detail_file(const std::string& name, const Json& golden) {
    const std::string path = name + "_meteor_detail";
    const Json ids = read_json(folder_ / (name + "_expected.json")).at("image_ids");
    const Meteor meteor(resources_, options_of(golden.at("config")));
    const auto scores = meteor.score(coco_images(folder_, name, ids), 1);
    const Json& per_image = golden.at("per_image");
    if (per_image.size() != scores.size())
      fail(ErrorCode::invalid_input, "{}: {} images, where {} were scored", path, per_image.size(), scores.size());
    for (std::size_t i = 0; i < scores.size(); ++i) {
      const std::string place = fmt::format("{}.per_image.{}.", path, i);
      const Json& image = per_image.at(i);
      compare_values(place, image, "score", scores[i].values, scores[i].statistics);
      compare(place + "ref_scores", image.at("ref_scores"), scores[i].reference_scores);
      compare(place + "best", image.at("best"), scores[i].best_reference, 0.0);
      compare(place + "align", image.at("align"), alignment_of(scores[i]), 0.0);
    }
    const MeteorStatistics corpus = sum(scores);
    compare_values(path + ".system.", golden.at("system"), "system", meteor.values(corpus), corpus);
  }

  void parts_file(const Json& golden) {
    for (const auto& [key, part] : golden.items()) {
      const std::string path = "meteor_parts." + key;
      report_.part("json." + path, [&, &key = key, &part = part] { this->part(path, key, part, golden); });
    }
  }

  void edge_cases(const OrderedJson& golden) {
    const OrderedJson& cases = golden.at("cases");
    for (std::size_t i = 0; i < cases.size(); ++i) {
      if (!cases.at(i).contains("expected")) continue;
      MeteorImages images;
      for (const auto& [id, references] : cases.at(i).at("references").items())
        images.push_back(image_of(id, cases.at(i).at("results").at(id).at(0).get<std::string>(), references));
      expected(fmt::format("edge_cases.cases.{}.expected", i), Json(cases.at(i).at("expected")), images);
    }
  }

  void published(const Json& golden) {
    const Json& cases = golden.at("cases");
    for (std::size_t i = 0; i < cases.size(); ++i) {
      if (const auto recomputed = cases.at(i).find("recomputed"); recomputed != cases.at(i).end())
        expected(fmt::format("published.cases.{}.recomputed", i), *recomputed,
                 pairs_of(cases.at(i).at("tokens_candidates"), cases.at(i).at("tokens_references")));
    }
  }

 private:
  void compare(const std::string& path, const Json& golden, const Json& computed, double tolerance = kScoreTolerance) {
    report_.compare_json(path, golden, computed, tolerance);
  }

  void compare_values(const std::string& place, const Json& golden, const std::string& score,
                      const MeteorValues& values, const MeteorStatistics& statistics) {
    compare(place + score, golden.at(score), values.score);
    compare(place + "precision", golden.at("precision"), number_or_null(values.precision));
    compare(place + "recall", golden.at("recall"), number_or_null(values.recall));
    compare(place + "fmean", golden.at("fmean"), number_or_null(values.f_mean));
    compare(place + "frag_penalty", golden.at("frag_penalty"), number_or_null(values.penalty));
    compare(place + "stats", golden.at("stats"), text_of(statistics), 0.0);
  }

  void part(const std::string& path, const std::string& key, const Json& golden, const Json& all) {
    if (key == "raw_pairs") return;  // what is scored
    if (key == "stems") return stems(path, golden);
    if (key == "synonyms") return synonyms(path, golden);
    if (key == "normalizer") return normalizer(path, golden);
    if (key.starts_with("raw_")) {
      Json hypotheses, references;
      for (const Json& pair : all.at("raw_pairs")) {
        hypotheses.push_back(pair.at("hyp"));
        references.push_back(pair.at("refs"));
      }
      return scores(path, golden, pairs_of(hypotheses, references));
    }
    // The first images of a set under other parameters: task_adq_first100_of_loo.
    if (const std::size_t of = key.rfind("_of_"); key.starts_with("task_") && of != std::string::npos) {
      const std::string name = key.substr(of + 4);
      MeteorImages images = coco_images(folder_, name, read_json(folder_ / (name + "_expected.json")).at("image_ids"));
      images.resize(std::min(images.size(), golden.at("scores").size()));
      return scores(path, golden, images);
    }
    report_.fail_check("json." + path, "nothing here computes it");
  }

  void stems(const std::string& path, const Json& golden) {
    MeteorStemmer stemmer;
    for (std::size_t i = 0; i < golden.size(); ++i)
      compare(fmt::format("{}.{}.1", path, i), golden.at(i).at(1), stemmer.stem(golden.at(i).at(0).get<std::string>()),
              0.0);
  }

  void synonyms(const std::string& path, const Json& golden) {
    for (std::size_t i = 0; i < golden.size(); ++i) {
      const auto word = golden.at(i).at("word").get<std::string>();
      const std::string place = fmt::format("{}.{}.", path, i);
      compare(place + "synsets", golden.at(i).at("synsets"), resources_->synonyms().synsets(word), 0.0);
      compare(place + "stem_synsets", golden.at(i).at("stem_synsets"), resources_->synonyms().base_synsets(word), 0.0);
    }
  }

  void normalizer(const std::string& path, const Json& golden) {
    const MeteorNormalizer& normalizer = resources_->normalizer();
    for (std::size_t i = 0; i < golden.size(); ++i) {
      const auto text = golden.at(i).at("text").get<std::string>();
      const std::string place = fmt::format("{}.{}.", path, i);
      compare(place + "keep_punct", golden.at(i).at("keep_punct"), normalizer.normalize(text, MeteorPunctuation::keep),
              0.0);
      compare(place + "no_punct", golden.at(i).at("no_punct"), normalizer.normalize(text, MeteorPunctuation::remove),
              0.0);
    }
  }

  /// {"config", "system", "scores"} and, where they are there, "best" and "align_best".
  void scores(const std::string& path, const Json& golden, const MeteorImages& images) {
    const Meteor meteor(resources_, options_of(golden.at("config")));
    const auto scores = meteor.score(images, 1);
    Json best = Json::array(), alignments = Json::array();
    for (const MeteorScore& score : scores) {
      best.push_back(score.best_reference);
      alignments.push_back(alignment_of(score));
    }
    compare(path + ".system", golden.at("system"), meteor.values(sum(scores)).score);
    compare(path + ".scores", golden.at("scores"), values(scores));
    if (golden.contains("best")) compare(path + ".best", golden.at("best"), best, 0.0);
    if (golden.contains("align_best")) compare(path + ".align_best", golden.at("align_best"), alignments, 0.0);
  }

  fs::path folder_;
  std::shared_ptr<const MeteorResources> resources_;
  GoldenReport& report_;
};

/// NAME of the files NAME`suffix` in a folder, in order.
std::vector<std::string> names_before(std::string_view suffix, const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string file = entry.path().filename().string();
    if (file.ends_with(suffix)) names.push_back(file.substr(0, file.size() - suffix.size()));
  }
  std::ranges::sort(names);
  return names;
}

/// Whether any golden of the folder is METEOR's.
bool states_meteor(const fs::path& folder) {
  if (fs::exists(folder / "meteor_parts.json") || !names_before("_meteor_detail.json", folder).empty()) return true;
  const auto mentions = [&](const std::string& file) {
    return fs::exists(folder / file) && read_text(folder / file, kMaxMeteorBytes).find("METEOR") != std::string::npos;
  };
  return mentions("edge_cases.json") || mentions("published.json") ||
         std::ranges::any_of(names_before("_expected.json", folder),
                             [&](const std::string& name) { return mentions(name + "_expected.json"); });
}

}  // namespace

void verify_meteor(const fs::path& folder, const std::optional<fs::path>& meteor_data, GoldenReport& report) {
  if (!states_meteor(folder)) return;
  MeteorVerification verification(folder, find_meteor_data(folder, meteor_data), report);
  const auto file = [&](const std::string& name, const std::function<void(const fs::path&)>& verify_file) {
    if (const fs::path path = folder / (name + ".json"); fs::exists(path))
      report.part("json." + name, [&] { verify_file(path); });
  };
  for (const std::string& name : names_before("_expected.json", folder))
    file(name + "_expected", [&](const fs::path& path) { verification.expected_file(name, read_json(path)); });
  for (const std::string& name : names_before("_meteor_detail.json", folder))
    file(name + "_meteor_detail", [&](const fs::path& path) { verification.detail_file(name, read_json(path)); });
  file("meteor_parts", [&](const fs::path& path) { verification.parts_file(read_json(path)); });
  file("edge_cases", [&](const fs::path& path) { verification.edge_cases(read_ordered_json(path)); });
  file("published", [&](const fs::path& path) { verification.published(read_json(path)); });
}

}  // namespace capdiff
