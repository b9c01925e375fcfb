# cmake -D FOLDER=… -D OUTPUT=….cpp -P embed_page.cmake: writes the files of the page, all of FOLDER, as C++.
file(GLOB names RELATIVE ${FOLDER} ${FOLDER}/*)
set(arrays "")
set(list "")
set(number 0)
foreach(name IN LISTS names)
  file(READ ${FOLDER}/${name} bytes HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
  string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
  string(APPEND arrays "constexpr unsigned char kFile${number}[] = {\n${bytes}0x00};\n")
  string(APPEND list "    {\"${name}\", {reinterpret_cast<const char*>(kFile${number}), sizeof(kFile${number}) - 1}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUTPUT} "#include <span>

#include \"capdiff/serving/page.h\"

namespace capdiff {
namespace {
${arrays}}  // namespace

std::span<const PageFile> embedded_page();

std::span<const PageFile> embedded_page() {
  static const PageFile kFiles[] = {
${list}  };
  return kFiles;
}

}  // namespace capdiff
")
