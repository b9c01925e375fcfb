#include <capdiff.hpp>
#include <fstream>
#include <iostream>
#include <iterator>

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: describe PHOTO [SENTENCE WITH [MASK]]\n";
    return 2;
  }
  std::ifstream file(argv[1], std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  try {
    const capdiff::library::Model model;
    const capdiff_picture photo = capdiff::library::picture_file(bytes.data(), bytes.size());
    std::cout << (argc > 2 ? model.fill(photo, argv[2]).text(0) : model.caption(photo, R"({"preset": "fast"})"))
              << "\n";
  } catch (const capdiff::library::Error& error) {
    std::cerr << "describe: " << error.what() << "\n";
    return 1;
  }
}
