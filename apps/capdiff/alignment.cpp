#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "apps/capdiff/command.h"
#include "apps/capdiff/make_backend.h"
#include "apps/capdiff/model_options.h"
#include "capdiff/base/error.h"
#include "capdiff/base/progress.h"
#include "capdiff/captioners/prefix_diffusion.h"
#include "capdiff/data/photo_source.h"
#include "capdiff/evaluation/prefix_alignment.h"
#include "capdiff/formats/dataset.h"

namespace capdiff::app {
namespace {

struct AlignmentOptions {
  std::string model, dataset, images, split = "test", device = "cpu";
  std::int64_t limit = 1000;
  bool json = false;
};

int alignment(const AlignmentOptions& options) {
  if (options.dataset.empty()) fail(ErrorCode::usage, "alignment needs --dataset PATH");
  const ModelFolder folder = ModelFolder::open(find_model(options.model));
  if (folder.config().get_choice("model_type", {"ladic", "prefix-diffusion", "autoregressive"}) != "prefix-diffusion")
    fail(ErrorCode::unsupported, "{}: this method has no prefix to align; Prefix-diffusion has",
         folder.path().string());
  CaptionDataset dataset = read_dataset(options.dataset, {options.split}, 0.0);
  if (options.images.empty() && dataset.folder.empty()) fail(ErrorCode::usage, "alignment needs --images DIR");
  std::erase_if(dataset.images, [](const CaptionedImage& image) { return image.captions.empty(); });
  dataset.images.resize(std::min(dataset.images.size(), static_cast<std::size_t>(options.limit)));
  const auto photos =
      photo_sources(dataset, options.images.empty() ? dataset.folder : std::filesystem::path(options.images));

  const auto backend = make_backend({}, options.device);
  const PrefixConfig config = PrefixConfig::of_folder(folder);
  const PrefixModel model(*backend, prefix_parameters(folder), config, /*with_image_tower=*/true);
  const Preprocessor preprocessor = folder_preprocessor(folder, Preprocessor(), model.image_size());
  HostTensor features(DType::f32, {static_cast<std::int64_t>(photos.size()), config.clip.embed});
  std::vector<std::vector<std::string>> captions;
  Progress progress("reading pictures", photos.size());
  auto out = features.mutable_values<float>().begin();
  for (std::size_t i = 0; i < photos.size(); ++i) {
    const Image image = read_photo(photos[i], {.apply_exif_orientation = false});
    const HostTensor feature =
        backend->download(model.image_feature(backend->upload(preprocessor.batch(std::span(&image, 1)))));
    out = std::ranges::copy(feature.values<float>(), out).out;
    captions.push_back(dataset.images[i].captions);
    progress.advance(1);
  }
  const PrefixAlignment result =
      prefix_alignment(*backend, model, WordVocabulary::load(folder.file("vocab.txt")), features, captions);
  fmt::print("{}", options.json ? to_json(result).dump(2) + "\n" : to_text(result));
  return kDone;
}

}  // namespace

void add_alignment(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "alignment", "Cosines between the prefix of pictures and captions inside a Prefix-diffusion model");
  auto options = std::make_shared<AlignmentOptions>();
  command->add_option("-m,--model", options->model, "Model folder")->type_name("DIR");
  command->add_option("--dataset", options->dataset, "Pictures with captions, as for evaluate")->type_name("PATH");
  command->add_option("--images", options->images, "Folder of its pictures")->type_name("DIR");
  command->add_option("--split", options->split, "Which pictures")->capture_default_str();
  command->add_option("--limit", options->limit, "Only the first N pictures")
      ->check(CLI::Range(std::int64_t{2}, std::int64_t{1'000'000}))
      ->capture_default_str();
  add_device_option(*command, options->device);
  command->add_flag("--json", options->json, "Print one JSON object");
  add_configuration(*command, action, [options] { return alignment(*options); });
}

}  // namespace capdiff::app
