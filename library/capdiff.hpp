#pragma once

#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "capdiff.h"

/// capdiff.h for C++20: what fails throws.
namespace capdiff::library {

class Error : public std::runtime_error {
 public:
  Error(capdiff_status status, const char* message) : std::runtime_error(message), status_(status) {}
  capdiff_status status() const { return status_; }

 private:
  capdiff_status status_;
};

/// A file in memory. The bytes must outlive the call that takes the picture.
inline capdiff_picture picture_file(const void* data, std::size_t size) {
  return {data, size, 0, 0};
}
/// Pixels [height, width, 3], 8-bit RGB.
inline capdiff_picture picture_pixels(const void* data, int width, int height) {
  return {data, 3 * static_cast<std::size_t>(width) * static_cast<std::size_t>(height), width, height};
}

class Captions {
 public:
  explicit Captions(capdiff_captions* captions) : captions_(captions, capdiff_free) {}

  std::size_t size() const { return capdiff_count(captions_.get()); }
  std::string text(std::size_t i) const {
    const char* text = capdiff_text(captions_.get(), i);
    if (!text) throw std::out_of_range("there is no such caption");
    return text;
  }
  std::string json() const { return capdiff_json(captions_.get()); }

 private:
  std::unique_ptr<capdiff_captions, void (*)(capdiff_captions*)> captions_;
};

/// A loaded model. Arguments are those of the C functions; empty strings stand for NULL.
class Model {
 public:
  explicit Model(const std::string& folder = {}, const std::string& settings = {}) : model_(nullptr, capdiff_close) {
    capdiff_model* model = nullptr;
    check(capdiff_open(or_null(folder), or_null(settings), &model));
    model_.reset(model);
  }

  Captions caption(std::span<const capdiff_picture> pictures, const std::string& options = {}) const {
    capdiff_captions* captions = nullptr;
    check(capdiff_caption(model_.get(), pictures.data(), pictures.size(), or_null(options), &captions));
    return Captions(captions);
  }
  std::string caption(const capdiff_picture& picture, const std::string& options = {}) const {
    return caption(std::span(&picture, 1), options).text(0);
  }
  Captions fill(const capdiff_picture& picture, const std::string& sentence, const std::string& options = {}) const {
    capdiff_captions* captions = nullptr;
    check(capdiff_fill(model_.get(), &picture, sentence.c_str(), or_null(options), &captions));
    return Captions(captions);
  }

 private:
  static const char* or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }
  static void check(capdiff_status status) {
    if (status != CAPDIFF_OK) throw Error(status, capdiff_last_error());
  }

  std::unique_ptr<capdiff_model, void (*)(capdiff_model*)> model_;
};

}  // namespace capdiff::library
