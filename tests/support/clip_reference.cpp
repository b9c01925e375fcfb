#include "tests/support/clip_reference.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "capdiff/base/files.h"
#include "capdiff/formats/safetensors.h"

namespace capdiff::test {
namespace {

Array slice(const Array& x, std::int64_t axis, std::int64_t begin, std::int64_t end) {
  const std::vector<std::int64_t>& sizes = x.shape.sizes();
  std::int64_t outer = 1, inner = 1;
  for (std::size_t i = 0; i < sizes.size(); ++i) (static_cast<std::int64_t>(i) < axis ? outer : inner) *= sizes[i];
  inner /= sizes[static_cast<std::size_t>(axis)];
  std::vector<std::int64_t> cut = sizes;
  cut[static_cast<std::size_t>(axis)] = end - begin;
  Array result = zeros(Shape(cut));
  std::int64_t out = 0;
  for (std::int64_t i = 0; i < outer; ++i)
    for (std::int64_t j = begin; j < end; ++j)
      for (std::int64_t k = 0; k < inner; ++k)
        result[out++] = x[(i * sizes[static_cast<std::size_t>(axis)] + j) * inner + k];
  return result;
}

Array sum(const Array& a, const Array& b) {
  return reference::broadcast({a, b}, [](const std::vector<double>& values) { return values[0] + values[1]; });
}

/// One tower's tensors under its own names, and its blocks.
class Tower {
 public:
  Tower(const ClipReference& clip, std::string prefix) : clip_(clip), prefix_(std::move(prefix)) {}

  const Array& operator[](const std::string& name) const { return clip_.tensors.at(prefix_ + name); }

  Array norm(const std::string& name, const Array& x) const {
    return reference::layer_norm(x, (*this)[name + ".weight"], (*this)[name + ".bias"], clip_.config.eps);
  }

  Array linear(const std::string& name, const Array& x) const {
    return reference::linear(x, (*this)[name + ".weight"], (*this)[name + ".bias"]);
  }

  Array project(const std::string& name, const Array& x) const {
    return reference::linear(x, reference::permute((*this)[name], {1, 0}), {});
  }

  Array blocks(Array x, std::int64_t depth, std::int64_t heads, bool causal) const {
    const std::int64_t width = x.shape.cols();
    for (std::int64_t i = 0; i < depth; ++i) {
      const std::string block = "transformer.resblocks." + std::to_string(i) + ".";
      const Array qkv = reference::linear(norm(block + "ln_1", x), (*this)[block + "attn.in_proj_weight"],
                                          (*this)[block + "attn.in_proj_bias"]);
      const Array context = reference::attention(slice(qkv, 2, 0, width), slice(qkv, 2, width, 2 * width),
                                                 slice(qkv, 2, 2 * width, 3 * width), heads, {}, causal);
      x = sum(x, linear(block + "attn.out_proj", context));
      const Array inner = reference::map(linear(block + "mlp.c_fc", norm(block + "ln_2", x)),
                                         [](double v) { return v / (1.0 + std::exp(-1.702 * v)); });
      x = sum(x, linear(block + "mlp.c_proj", inner));
    }
    return x;
  }

 private:
  const ClipReference& clip_;
  std::string prefix_;
};

}  // namespace

ClipReference::ClipReference(std::uint32_t seed, const Sizes& sizes) {
  config.embed = 6;
  config.image = {.image_size = 12, .patch = 4, .width = 8, .depth = 2, .heads = 2, .mlp = sizes.image_mlp};
  config.text = {.vocab_size = 524, .length = 24, .width = 10, .depth = 2, .heads = 2, .mlp = sizes.text_mlp};
  // The towers themselves know what they need.
  ParameterStore wanted;
  wanted.initialise_missing(0);
  const auto backend = make_onednn_backend({});
  ClipImageTower(*backend, Scope(wanted) / "visual", config);
  ClipTextTower(*backend, Scope(wanted), config);
  for (const auto& [name, shape] : wanted.used()) {
    Array values = random(shape, seed++, -0.6, 0.6);
    if (name.find("ln_") != std::string::npos && name.ends_with("weight"))
      for (double& value : values.values) value = static_cast<float>(value + 1.0);
    tensors.emplace(name, std::move(values));
  }
  tensors.emplace("logit_scale", array({}, {2.5}));
}

std::map<std::string, HostTensor> ClipReference::state_dict() const {
  std::map<std::string, HostTensor> state;
  for (const auto& [name, values] : tensors) state.emplace(name, parameter(name, values).value);
  return state;
}

ParameterStore ClipReference::parameters() const {
  ParameterStore parameters;
  for (const auto& [name, value] : state_dict()) parameters.add(name, value);
  return parameters;
}

Array ClipReference::image_features(const Array& pixels) const {
  const Tower tower(*this, "visual.");
  const std::int64_t batch = pixels.shape[0], width = config.image.width;
  const Array grid = reference::conv2d(reference::permute(pixels, {0, 2, 3, 1}), tower["conv1.weight"], {},
                                       Conv2dOptions::padded(0, config.image.patch));
  const std::int64_t patches = grid.shape[1] * grid.shape[2];
  Array x = zeros({batch, 1 + patches, width});
  for (std::int64_t b = 0; b < batch; ++b)
    for (std::int64_t n = 0; n <= patches; ++n)
      for (std::int64_t c = 0; c < width; ++c)
        x[(b * (1 + patches) + n) * width + c] =
            (n == 0 ? tower["class_embedding"][c] : grid[(b * patches + n - 1) * width + c]) +
            tower["positional_embedding"][n * width + c];
  x = tower.blocks(tower.norm("ln_pre", x), config.image.depth, config.image.heads, false);
  Array first = slice(x, 1, 0, 1);
  first.shape = {batch, width};
  return tower.project("proj", tower.norm("ln_post", first));
}

Array ClipReference::text_features(const std::vector<std::vector<std::int64_t>>& rows) const {
  const Tower tower(*this, "");
  const auto batch = static_cast<std::int64_t>(rows.size()), length = static_cast<std::int64_t>(rows.front().size());
  const std::int64_t width = config.text.width;
  Array x = zeros({batch, length, width});
  for (std::int64_t b = 0; b < batch; ++b)
    for (std::int64_t l = 0; l < length; ++l)
      for (std::int64_t c = 0; c < width; ++c) {
        const std::int64_t id = rows[static_cast<std::size_t>(b)][static_cast<std::size_t>(l)];
        x[(b * length + l) * width + c] =
            tower["token_embedding.weight"][id * width + c] + tower["positional_embedding"][l * width + c];
      }
  x = tower.norm("ln_final", tower.blocks(x, config.text.depth, config.text.heads, true));
  Array ends = zeros({batch, width});
  for (std::int64_t b = 0; b < batch; ++b) {
    const std::vector<std::int64_t>& row = rows[static_cast<std::size_t>(b)];
    const std::int64_t end = std::max_element(row.begin(), row.end()) - row.begin();
    for (std::int64_t c = 0; c < width; ++c) ends[b * width + c] = x[(b * length + end) * width + c];
  }
  return tower.project("text_projection", ends);
}

Array unit_rows(const Array& x) {
  Array result = x;
  for (std::int64_t row = 0; row < x.shape.rows(); ++row) {
    const double length = std::sqrt(dot(x, row, x, row));
    for (std::int64_t c = 0; c < x.shape.cols(); ++c) result[row * x.shape.cols() + c] /= length;
  }
  return result;
}

double dot(const Array& a, std::int64_t row_a, const Array& b, std::int64_t row_b) {
  double total = 0.0;
  for (std::int64_t c = 0; c < a.shape.cols(); ++c)
    total += a[row_a * a.shape.cols() + c] * b[row_b * b.shape.cols() + c];
  return total;
}

std::string tiny_merges() {
  return "#version: 0.2\nd o\ndo g</w>\nc a\nca t</w>\ns i\nt s</w>\nt h\nth e</w>\nsi ts</w>\no n</w>\n";
}

void write_clip_folder(const ClipReference& clip, const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  write_safetensors(folder / "model.safetensors", clip.state_dict());
  write_file_atomically(folder / "merges.txt", tiny_merges());
  write_file_atomically(folder / "config.json", clip.config.to_json().dump());
}

}  // namespace capdiff::test
