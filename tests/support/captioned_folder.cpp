#include "tests/support/captioned_folder.h"

#include <fstream>

#include "tests/image/png_file.h"
#include "tests/support/tiny_model.h"

namespace capdiff::test {

void CaptionedFolder::SetUp() {
  write_tiny_model(model_);
  std::filesystem::create_directories(photos());
}

CommandResult CaptionedFolder::caption(std::vector<std::string> arguments, const std::string& input) const {
  arguments.insert(arguments.begin(), {"caption", "-m", model_.string()});
  return run_capdiff(arguments, input);
}

std::vector<std::string> CaptionedFolder::command(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(),
                   {std::string(CAPDIFF_BINARY_DIR) + "/bin/capdiff", "caption", "-m", model_.string()});
  return arguments;
}

std::string CaptionedFolder::picture(int number) {
  Image image(48, 40);
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x)
      for (int c = 0; c < 3; ++c)
        image.row(y)[static_cast<std::size_t>(3 * x + c)] =
            static_cast<std::uint8_t>((x * (number * 7 % 13 + 1) + y * (number * 5 % 17 + c)) ^ (number * 29));
  const Bytes file = encode_png(rows_of(image), image.width);
  return {reinterpret_cast<const char*>(file.data()), file.size()};
}

void CaptionedFolder::add_picture(const std::string& name) {
  write(name, picture(pictures_++));
}

void CaptionedFolder::write(const std::string& name, const std::string& content) const {
  const std::filesystem::path path = photos(name);
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

std::string CaptionedFolder::photos(const std::string& name) const {
  const std::filesystem::path folder = folder_.path() / "photos";
  return (name.empty() ? folder : folder / name).string();
}

}  // namespace capdiff::test
