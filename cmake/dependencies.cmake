# Libraries, by what they are for. Nothing else in the project calls find_package.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(CLI11 REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(PNG REQUIRED)
find_package(ZLIB REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
pkg_check_modules(TURBOJPEG REQUIRED IMPORTED_TARGET libturbojpeg)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)

# libstemmer has neither a CMake nor a pkg-config file.
find_library(CAPDIFF_STEMMER NAMES stemmer REQUIRED)
find_path(CAPDIFF_STEMMER_INCLUDE NAMES libstemmer.h REQUIRED)
add_library(capdiff_stemmer INTERFACE)
target_include_directories(capdiff_stemmer SYSTEM INTERFACE ${CAPDIFF_STEMMER_INCLUDE})
target_link_libraries(capdiff_stemmer INTERFACE ${CAPDIFF_STEMMER})

# Debian's package file of oneDNN asks for OpenCL development files that a CPU program does not need.
find_library(CAPDIFF_DNNL NAMES dnnl REQUIRED)
find_path(CAPDIFF_DNNL_INCLUDE NAMES oneapi/dnnl/dnnl.hpp REQUIRED)
add_library(capdiff_dnnl INTERFACE)
target_include_directories(capdiff_dnnl SYSTEM INTERFACE ${CAPDIFF_DNNL_INCLUDE})
target_link_libraries(capdiff_dnnl INTERFACE ${CAPDIFF_DNNL})

# Of Boost only headers are used, by the server; its package files would look for libraries too.
find_path(CAPDIFF_BOOST_INCLUDE NAMES boost/beast.hpp REQUIRED)
add_library(capdiff_boost INTERFACE)
target_include_directories(capdiff_boost SYSTEM INTERFACE ${CAPDIFF_BOOST_INCLUDE})
target_compile_definitions(capdiff_boost INTERFACE BOOST_ERROR_CODE_HEADER_ONLY BOOST_ALL_NO_LIB)

add_library(capdiff_dependencies INTERFACE)
target_link_libraries(capdiff_dependencies INTERFACE
  capdiff_dnnl capdiff_stemmer OpenMP::OpenMP_CXX fmt::fmt spdlog::spdlog nlohmann_json::nlohmann_json tomlplusplus::tomlplusplus
  PNG::PNG ZLIB::ZLIB OpenSSL::Crypto PkgConfig::TURBOJPEG PkgConfig::UTF8PROC PkgConfig::XXHASH Threads::Threads)

set(CAPDIFF_HAVE_TORCH OFF)
if(NOT CAPDIFF_BUILD_TRAIN STREQUAL OFF)
  if(CAPDIFF_BUILD_TRAIN STREQUAL ON)
    find_package(Torch REQUIRED)
  else()
    find_package(Torch QUIET)
  endif()
  if(Torch_FOUND)
    set(CAPDIFF_HAVE_TORCH ON)
    add_library(capdiff_libtorch INTERFACE)
    # LibTorch as its authors pack it brings copies of other libraries' headers: those of fmt must not hide ours.
    get_target_property(CAPDIFF_FMT_INCLUDE fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
    find_path(CAPDIFF_FMT_OF_TORCH NAMES fmt/format.h PATHS ${TORCH_INCLUDE_DIRS} NO_DEFAULT_PATH)
    if(CAPDIFF_FMT_OF_TORCH AND NOT CAPDIFF_FMT_OF_TORCH IN_LIST CAPDIFF_FMT_INCLUDE)
      list(GET CAPDIFF_FMT_INCLUDE 0 fmt_include)
      file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/first)
      file(CREATE_LINK ${fmt_include}/fmt ${CMAKE_BINARY_DIR}/first/fmt SYMBOLIC)
      target_include_directories(capdiff_libtorch SYSTEM BEFORE INTERFACE ${CMAKE_BINARY_DIR}/first)
    endif()
    target_include_directories(capdiff_libtorch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
    # The same packs export functions of the standard library, among them std::filesystem with other classes behind it:
    # a program that finds those first crashes. So the standard library is searched before LibTorch.
    target_link_libraries(capdiff_libtorch INTERFACE -Wl,--push-state,--no-as-needed stdc++ -Wl,--pop-state ${TORCH_LIBRARIES})
    if(TARGET c10_cuda)
      target_compile_definitions(capdiff_libtorch INTERFACE CAPDIFF_HAVE_CUDA)
    endif()
    # Linked by name, so that the loader never falls back on a slower BLAS.
    find_library(CAPDIFF_OPENBLAS NAMES openblas libopenblas.so.0 PATH_SUFFIXES openblas-openmp)
    if(CAPDIFF_OPENBLAS)
      target_link_libraries(capdiff_libtorch INTERFACE ${CAPDIFF_OPENBLAS})
    endif()
    # LibTorch's headers for several processes include those of Gloo, which Debian has in a package of its own.
    find_path(CAPDIFF_GLOO_INCLUDE NAMES gloo/context.h HINTS ${TORCH_INCLUDE_DIRS})
    if(CAPDIFF_GLOO_INCLUDE)
      target_include_directories(capdiff_libtorch SYSTEM INTERFACE ${CAPDIFF_GLOO_INCLUDE})
      target_compile_definitions(capdiff_libtorch INTERFACE CAPDIFF_HAVE_GLOO)
    else()
      message(STATUS "Gloo was not found: capdiff-train trains with one process only")
    endif()
  else()
    message(STATUS "LibTorch was not found: capdiff-train is not built")
  endif()
endif()
