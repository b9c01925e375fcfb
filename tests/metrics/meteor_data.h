#pragma once

#include <zlib.h>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "capdiff/metrics/meteor_resources.h"
#include "tests/support/temporary_folder.h"

namespace capdiff::test {

inline void write_gzip(const std::filesystem::path& path, std::string_view text) {
  const gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  gzclose(file);
}

/// A METEOR data folder of a few words.
class MeteorData {
 public:
  MeteorData() {
    for (const char* part : {"function", "nonbreaking", "synonym"}) std::filesystem::create_directory(path() / part);
    write("function/english.words", "the\na\nof\non\nin\nis\n.\n'\n");
    write("nonbreaking/english.prefixes", "# comments\n\nDr\nNo #NUMERIC_ONLY#\n");
    write("synonym/english.synsets",
          "big\n10 11\nlarge\n11 12\nhuge\n12\n"
          "dog\n20 21\nhound\n20\nman\n30\nperson\n30 31\n"
          "sofa\n40\ncouch\n41 40\nwalk\n50\nstroll\n50\ngo\n51\nleave\n51\ngrass\n60\nox\n70\ncattle\n70\n");
    write("synonym/english.exceptions", "go\nwent gone\nox\noxen\n");
  }

  void write(const std::string& name, std::string_view text) const { folder_.write(name, text); }
  void write_paraphrases(std::string_view text) const { write_gzip(path() / "paraphrase-en.gz", text); }
  std::filesystem::path path() const { return folder_.path(); }
  std::shared_ptr<const MeteorResources> resources() const { return MeteorResources::from_folder(path()); }

 private:
  TemporaryFolder folder_;
};

}  // namespace capdiff::test
