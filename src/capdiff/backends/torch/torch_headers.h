#pragma once

// LibTorch takes seconds to include: this header is precompiled, and only backends/torch, training and their tests
// include it.
#include <torch/torch.h>
