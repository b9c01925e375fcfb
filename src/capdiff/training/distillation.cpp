#include "capdiff/training/distillation.h"

#include <cmath>

#include "capdiff/base/error.h"
#include "capdiff/base/philox.h"
#include "capdiff/base/progress.h"
#include "capdiff/image/resize.h"
#include "capdiff/training/random_streams.h"

namespace capdiff {
namespace {

constexpr std::int64_t kTeacherBatch = 32;
constexpr std::int64_t kPhotosForComponents = 768;
constexpr std::int64_t kFinestHint = 32;  ///< cells a side; finer ones cost much memory and teach edges alone

/// Photos [first, last) of `indices` as the teacher reads them: [B, side, side, 3] in −1..1.
HostTensor teacher_pixels(const PhotoStore& photos, std::span<const std::int64_t> indices, int side) {
  HostTensor pixels(DType::f32, {static_cast<std::int64_t>(indices.size()), side, side, 3});
  auto out = pixels.mutable_values<float>().begin();
  for (const std::int64_t index : indices) {
    const Image resized = resize_bicubic(photos.photo(index), side, side);
    out = std::transform(resized.rgb.begin(), resized.rgb.end(), out,
                         [](std::uint8_t v) { return static_cast<float>(v) / 127.5f - 1.0f; });
  }
  return pixels;
}

/// Mean [C], the first K principal axes [C, K] and the deviation along them, of rows [R, C].
struct Components {
  torch::Tensor mean, axes;
  double scale;
};

Components principal_components(const torch::Tensor& rows, std::int64_t count) {
  const torch::Tensor mean = rows.mean(0);
  const torch::Tensor centred = rows - mean;
  const torch::Tensor covariance = torch::matmul(centred.t(), centred) / rows.size(0);
  const auto [values, vectors] = torch::linalg_eigh(covariance);  // ascending
  const std::int64_t channels = rows.size(1);
  const double variance = values.slice(0, channels - count).mean().item<double>();
  return {mean, vectors.slice(1, channels - count).flip(1).contiguous(), std::sqrt(std::max(variance, 1e-12))};
}

struct DistillationBatch final : Batch {
  HostTensor pixels;         ///< [B, 3, S, S]
  torch::Tensor items;       ///< i64 [B]
  torch::Tensor transforms;  ///< f32 [B, 2, 3]
};

/// Takes −1..1 across a crop, mirrored if it is, to −1..1 across its photo.
void write_transform(const Augmentation& drawn, const Image& photo, float* out) {
  const double width = photo.width, height = photo.height;
  const double sx = drawn.crop.width / width, sy = drawn.crop.height / height;
  const double values[6] = {drawn.flip ? -sx : sx,
                            0.0,
                            (2.0 * drawn.crop.x + drawn.crop.width) / width - 1.0,
                            0.0,
                            sy,
                            (2.0 * drawn.crop.y + drawn.crop.height) / height - 1.0};
  std::copy(std::begin(values), std::end(values), out);
}

}  // namespace

TeacherGrids::TeacherGrids(TorchBackend& backend, const Teacher& teacher, const PhotoStore& photos, int side,
                           std::int64_t components, std::int64_t hint_components) {
  const torch::NoGradGuard frozen;
  std::vector<std::int64_t> readable;
  for (std::int64_t i = 0; i < photos.size(); ++i)
    if (photos.readable(i)) readable.push_back(i);
  const auto see = [&](std::span<const std::int64_t> indices) {
    const Teacher::Features features = teacher(backend.upload(teacher_pixels(photos, indices, side)));
    std::vector<torch::Tensor> levels;
    for (const Value& hint : features.hints)
      if (hint_components > 0 && hint.shape()[1] <= kFinestHint) levels.push_back(TorchBackend::tensor(hint));
    levels.push_back(TorchBackend::tensor(features.grid));
    return levels;
  };
  const auto batches = [&](std::span<const std::int64_t> indices, const char* label, const auto& use) {
    Progress progress(label, indices.size());
    for (std::size_t begin = 0; begin < indices.size(); begin += kTeacherBatch) {
      const auto part = indices.subspan(begin, std::min<std::size_t>(kTeacherBatch, indices.size() - begin));
      use(part, see(part));
      progress.advance(part.size());
    }
  };

  // Components from photos spread evenly over the collection.
  std::vector<std::int64_t> some;
  const std::size_t stride = std::max<std::size_t>(1, readable.size() / kPhotosForComponents);
  for (std::size_t i = 0; i < readable.size(); i += stride) some.push_back(readable[i]);
  std::vector<std::vector<torch::Tensor>> rows;
  batches(some, "teacher: components", [&](auto, const std::vector<torch::Tensor>& levels) {
    rows.resize(levels.size());
    for (std::size_t k = 0; k < levels.size(); ++k) rows[k].push_back(levels[k].flatten(0, 2));
  });
  std::vector<Components> reduced;
  for (std::size_t k = 0; k < rows.size(); ++k) {
    const std::int64_t wanted = k + 1 == rows.size() ? components : hint_components;
    reduced.push_back(principal_components(torch::cat(rows[k]), std::min(wanted, rows[k].front().size(1))));
    rows[k].clear();
  }

  levels_.resize(reduced.size());
  batches(readable, "teacher: photos",
          [&](std::span<const std::int64_t> part, const std::vector<torch::Tensor>& levels) {
            for (std::size_t k = 0; k < levels.size(); ++k) {
              const torch::Tensor projected =
                  (torch::matmul(levels[k] - reduced[k].mean, reduced[k].axes) / reduced[k].scale).to(torch::kBFloat16);
              if (!levels_[k].defined())
                levels_[k] = torch::zeros({photos.size(), projected.size(1), projected.size(2), projected.size(3)},
                                          projected.options());
              levels_[k].index_copy_(0, torch::tensor(at::IntArrayRef(part.data(), part.size())).to(projected.device()),
                                     projected);
            }
          });
}

std::int64_t TeacherGrids::hint_for(std::int64_t size) const {
  std::int64_t found = -1;
  for (std::int64_t k = 0; k < grid(); ++k)
    if (levels_[static_cast<std::size_t>(k)].size(1) >= size) found = k;
  return found;
}

torch::Tensor TeacherGrids::crops(std::int64_t level, const torch::Tensor& items, const torch::Tensor& transforms,
                                  std::int64_t size) const {
  const torch::NoGradGuard frozen;
  const torch::Tensor& photos = levels_.at(static_cast<std::size_t>(level));
  const torch::Tensor grids = photos.index_select(0, items.to(photos.device())).to(torch::kFloat).permute({0, 3, 1, 2});
  const torch::Tensor places = torch::affine_grid_generator(
      transforms.to(photos.device()), {items.size(0), grids.size(1), size, size}, /*align_corners=*/false);
  constexpr std::int64_t kBilinear = 0, kBorder = 1;
  return torch::grid_sampler(grids, places, kBilinear, kBorder, /*align_corners=*/false).flatten(2).transpose(1, 2);
}

DistillationObjective::DistillationObjective(TorchBackend& backend, const ImageEncoder& encoder,
                                             const ParameterStore& head_parameters, const Preprocessor& preprocessor,
                                             const PhotoStore& photos, std::vector<std::int64_t> items,
                                             const TeacherGrids& targets, const DistillationOptions& options)
    : backend_(&backend),
      encoder_(&encoder),
      head_(backend, Scope(head_parameters) / "distillation_head", encoder.width(), targets.components(targets.grid()),
            Init::normal(kInitStd)),
      preprocessor_(preprocessor),
      photos_(&photos),
      items_(std::move(items)),
      targets_(&targets),
      options_(options) {
  check(options.augment);
  if (options.hint_weight == 0) return;
  // One blank picture tells which stages there are, and their sizes.
  const torch::NoGradGuard frozen;
  const Scope heads = Scope(head_parameters) / "distillation_hints";
  predict(HostTensor(DType::f32, {1, 3, preprocessor_.size, preprocessor_.size}),
          [&](std::string_view name, const Value& value) {
            if (!name.starts_with("stage.") || value.shape()[1] > kFinestHint) return;
            const std::int64_t level = targets.hint_for(value.shape()[1]);
            if (level < 0) return;
            hints_.push_back({std::string(name), level, value.shape()[1],
                              Linear(backend, heads / std::string(name), value.shape()[3], targets.components(level),
                                     Init::normal(kInitStd))});
          });
}

std::unique_ptr<Batch> DistillationObjective::prepare(std::span<const Sample> samples) const {
  const auto count = static_cast<std::int64_t>(samples.size());
  const int side = preprocessor_.size;
  const auto image_size = static_cast<std::size_t>(3) * static_cast<std::size_t>(side) * static_cast<std::size_t>(side);
  auto batch = std::make_unique<DistillationBatch>();
  batch->pixels = HostTensor(DType::f32, {count, 3, side, side});
  batch->items = torch::empty({count}, torch::kLong);
  batch->transforms = torch::empty({count, 2, 3}, torch::kFloat);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const std::int64_t item = items_[static_cast<std::size_t>(samples[i].item)];
    const Image& photo = photos_->photo(item);
    RandomStream random(options_.seed, static_cast<std::uint32_t>(RandomPurpose::augmentation), samples[i].draw);
    const Augmentation drawn =
        draw_augmentation(photo.width, photo.height, options_.augment, [&random] { return random.uniform(); });
    preprocessor_.write_pixels(augment(photo, side, drawn),
                               batch->pixels.mutable_values<float>().subspan(i * image_size, image_size));
    batch->items.data_ptr<std::int64_t>()[i] = item;
    write_transform(drawn, photo, batch->transforms.data_ptr<float>() + 6 * i);
  }
  return batch;
}

torch::Tensor DistillationObjective::predict(const HostTensor& pixels, const Probe& probe) const {
  return TorchBackend::tensor(head_(encoder_->encode(backend_->upload(pixels), probe).patches));
}

StepLosses DistillationObjective::losses(const Batch& prepared) {
  const auto& batch = static_cast<const DistillationBatch&>(prepared);
  torch::Tensor hint_loss = torch::zeros({}, backend_->device());
  auto hint = hints_.begin();
  const torch::Tensor predicted = predict(batch.pixels, [&](std::string_view name, const Value& value) {
    if (hint == hints_.end() || name != hint->probe) return;
    const torch::Tensor target = targets_->crops(hint->level, batch.items, batch.transforms, hint->size);
    hint_loss = hint_loss + torch::mse_loss(TorchBackend::tensor(hint->head(value)).flatten(1, 2), target);
    ++hint;
  });
  const auto size = static_cast<std::int64_t>(std::lround(std::sqrt(static_cast<double>(predicted.size(1)))));
  if (size * size != predicted.size(1))
    fail(ErrorCode::unsupported, "[distillation] {} tokens are no square grid; use conv-vit", predicted.size(1));
  const torch::Tensor target = targets_->crops(targets_->grid(), batch.items, batch.transforms, size);
  const torch::Tensor grid = torch::mse_loss(predicted, target);
  const torch::Tensor pooled = torch::mse_loss(predicted.mean(1), target.mean(1));
  const torch::Tensor cosine = 1.0 - torch::cosine_similarity(predicted, target, -1).mean();
  return {grid + options_.pooled_weight * pooled + options_.cosine_weight * cosine + options_.hint_weight * hint_loss,
          {{"grid_loss", grid.detach()},
           {"pooled_loss", pooled.detach()},
           {"cosine_loss", cosine.detach()},
           {"hint_loss", hint_loss.detach()}}};
}

double DistillationObjective::unexplained_variance(std::span<const std::int64_t> photos) {
  const torch::NoGradGuard frozen;
  double error = 0.0, variance = 0.0;
  for (std::size_t begin = 0; begin < photos.size(); begin += kTeacherBatch) {
    const auto part = photos.subspan(begin, std::min<std::size_t>(kTeacherBatch, photos.size() - begin));
    std::vector<Image> images;
    torch::Tensor items = torch::empty({static_cast<std::int64_t>(part.size())}, torch::kLong);
    torch::Tensor transforms = torch::zeros({static_cast<std::int64_t>(part.size()), 2, 3});
    for (std::size_t i = 0; i < part.size(); ++i) {
      images.push_back(photos_->photo(part[i]));
      items[static_cast<std::int64_t>(i)] = part[i];
    }
    transforms.select(1, 0).select(1, 0).fill_(1.0);
    transforms.select(1, 1).select(1, 1).fill_(1.0);
    const torch::Tensor predicted = predict(preprocessor_.batch(images));
    const auto size = static_cast<std::int64_t>(std::lround(std::sqrt(static_cast<double>(predicted.size(1)))));
    const torch::Tensor target = targets_->crops(targets_->grid(), items, transforms, size);
    error += (predicted - target).square().sum().item<double>();
    variance += target.square().sum().item<double>();
  }
  return error / variance;
}

}  // namespace capdiff
