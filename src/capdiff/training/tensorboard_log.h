#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

namespace capdiff {

/// Scalars in the format that TensorBoard reads: a file of TFRecords (length, masked CRC-32C of it, data, masked
/// CRC-32C of that), each an `Event` of TensorFlow's event.proto.
class TensorBoardLog {
 public:
  /// Begins a file of its own in `folder`, which is created where it is missing. `first_step` is the next step: what
  /// earlier files say of it and of later ones is void, which TensorBoard is told by a SessionLog.START. Throws
  /// `Error(io)`.
  TensorBoardLog(const std::filesystem::path& folder, std::int64_t first_step);

  /// Appends the scalars of a step, under the names that TensorBoard groups by what stands before the first '/'. The
  /// time is now. Throws `Error(io)`.
  void write(std::int64_t step, const std::map<std::string, double>& scalars);

  const std::filesystem::path& path() const { return path_; }

 private:
  void append(const std::string& event);

  std::filesystem::path path_;
  std::ofstream stream_;
};

}  // namespace capdiff
