#include <spdlog/spdlog.h>

#include "apps/capdiff/command.h"
#include "capdiff/base/error.h"
#include "capdiff/captioners/import_blip.h"
#include "capdiff/captioners/import_clip.h"
#include "capdiff/captioners/import_ladic.h"
#include "capdiff/captioners/import_parts.h"

namespace capdiff::app {
namespace {

struct ConvertOptions {
  std::string from;
  std::string weights, mean, std, vocabulary, config;
  std::string output;
  std::string dtype = "f32";
  std::string profile = "released";
  std::optional<std::int64_t> image_heads, text_heads, diffuser_heads, length, encoder_layers, image_size;
};

std::optional<std::filesystem::path> path_of(const std::string& given) {
  if (given.empty()) return std::nullopt;
  return given;
}

std::filesystem::path required(const std::string& given, const char* option, const char* what) {
  if (given.empty()) fail(ErrorCode::usage, "convert --from ladic needs {} FILE: {}", option, what);
  return given;
}

int convert(const ConvertOptions& options) {
  const DType dtype = options.dtype == "bf16" ? DType::bf16 : DType::f32;
  if (options.from == "ladic") {
    import_ladic({.weights = options.weights,
                  .mean = required(options.mean, "--mean", "the mean of the latent space (mean_emb_split.pickle)"),
                  .std = required(options.std, "--std", "its deviation (std_emb_split.pickle)"),
                  .vocabulary = required(options.vocabulary, "--vocab", "vocab.txt of bert-base-uncased"),
                  .config = path_of(options.config),
                  .profile = options.profile == "paper" ? Profile::paper : Profile::released,
                  .dtype = dtype,
                  .image_heads = options.image_heads,
                  .text_heads = options.text_heads,
                  .diffuser_heads = options.diffuser_heads,
                  .length = options.length},
                 options.output);
  } else if (options.from == "bert") {
    import_bert({.weights = options.weights,
                 .vocabulary = path_of(options.vocabulary),
                 .config = path_of(options.config),
                 .dtype = dtype,
                 .heads = options.text_heads,
                 .encoder_layers = options.encoder_layers},
                options.output);
  } else if (options.from == "clip") {
    import_clip({.weights = options.weights,
                 .vocabulary = path_of(options.vocabulary),
                 .config = path_of(options.config),
                 .dtype = dtype,
                 .image_heads = options.image_heads,
                 .text_heads = options.text_heads},
                options.output);
  } else {
    import_blip({.weights = options.weights,
                 .vocabulary = path_of(options.vocabulary),
                 .config = path_of(options.config),
                 .dtype = dtype,
                 .image_heads = options.image_heads,
                 .text_heads = options.text_heads,
                 .image_size = options.image_size},
                options.output);
  }
  spdlog::info("wrote {}", options.output);
  return kDone;
}

}  // namespace

void add_convert(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("convert", "Turn a published checkpoint into a model folder");
  auto options = std::make_shared<ConvertOptions>();
  command->add_option("--from", options->from, "What the weights are of")
      ->check(CLI::IsMember({"ladic", "bert", "blip", "clip"}))
      ->required();
  command
      ->add_option("--weights", options->weights,
                   "Checkpoint of torch, or safetensors; for blip and clip also a folder")
      ->type_name("PATH")
      ->required();
  command->add_option("--mean", options->mean, "Mean of the latent space (ladic)")->type_name("FILE");
  command->add_option("--std", options->std, "Deviation of the latent space (ladic)")->type_name("FILE");
  command->add_option("--vocab", options->vocabulary, "vocab.txt (ladic, bert, blip), or byte-pair merges (clip)")
      ->type_name("FILE");
  command->add_option("--config", options->config, "JSON with what weights do not tell: heads, length")
      ->type_name("FILE");
  command->add_option("-o,--output", options->output, "Model folder to write")->type_name("DIR")->required();
  command->add_option("--dtype", options->dtype, "Type of the weights written")
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->capture_default_str();
  command->add_option("--profile", options->profile, "Settings of the paper or of the released code (ladic)")
      ->check(CLI::IsMember({"paper", "released"}))
      ->capture_default_str();
  const auto add_count = [&](const char* name, std::optional<std::int64_t>& value, const char* description) {
    command->add_option(name, value, description)->check(CLI::Range(std::int64_t{1}, std::int64_t{1024}));
  };
  add_count("--image-heads", options->image_heads,
            "Attention heads of the image encoder (default: 12; clip: width / 64)");
  add_count("--text-heads", options->text_heads,
            "Attention heads of BERT (default: 12), or of CLIP's text tower (width / 64)");
  add_count("--diffuser-heads", options->diffuser_heads, "Attention heads of the diffuser (default: 16)");
  add_count("--length", options->length, "Positions of a caption (default: 24)");
  add_count("--encoder-layers", options->encoder_layers, "Layers of BERT's lower half (bert; default: half of all)");
  command
      ->add_option("--image-size", options->image_size, "Side of the pictures, in pixels (blip; default: as trained)")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{4096}));
  command->callback([&action, options] { action = [options] { return convert(*options); }; });
}

}  // namespace capdiff::app
