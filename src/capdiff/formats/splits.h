#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "capdiff/formats/karpathy.h"

namespace capdiff {

/// The split that a name tells: "train", "restval", "val" or "test" where one of its words is that, digits apart:
/// captions_val2014, train-00001, test. "validation" is "val".
std::optional<std::string> split_in_name(std::string_view name);

/// "val" for a share of all names, "train" for the others. It depends on the name alone, so that data may be added.
std::string split_by_hash(std::string_view name, double validation_share);

/// Throws `Error(invalid_input)` for a wanted split that is not there.
void require_splits(const std::vector<std::string>& wanted, const std::set<std::string>& there,
                    const std::string& source);

/// Drops the pictures of other splits than those wanted; none wanted means all. Throws as `require_splits`.
void keep_splits(CaptionDataset& dataset, const std::vector<std::string>& wanted, const std::string& source);

}  // namespace capdiff
