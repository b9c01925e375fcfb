#pragma once

#include <filesystem>

namespace capdiff::test {

/// Writes a complete LaDiC model folder, with the random weights of tests/data/ladic_tiny: good for everything but
/// sense.
void write_tiny_model(const std::filesystem::path& folder);

/// The same of Prefix-diffusion, with random weights of its own.
void write_tiny_prefix_model(const std::filesystem::path& folder);

/// The same of an autoregressive captioner with BLIP's prompt, with random weights of its own.
void write_tiny_autoregressive_model(const std::filesystem::path& folder);

}  // namespace capdiff::test
