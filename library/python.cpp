// The Python module `capdiff`, over the C interface.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "capdiff.hpp"

namespace py = pybind11;
namespace library = capdiff::library;

namespace {

py::object json() {
  return py::module_::import("json");
}

std::string json_of(const py::kwargs& arguments) {
  return json().attr("dumps")(arguments, py::arg("allow_nan") = false).cast<std::string>();
}

/// A picture, and the view of Python's memory that it lies in.
struct PythonPicture {
  py::buffer_info memory;
  capdiff_picture picture;
};

/// bytes, or anything else with a contiguous buffer of bytes, is a file; an array of uint8 [height, width, 3] pixels.
PythonPicture picture_of(const py::handle& object) {
  if (!py::isinstance<py::buffer>(object))
    throw py::type_error("a picture is the bytes of a file or an array of uint8, not " +
                         py::str(py::type::of(object).attr("__name__")).cast<std::string>());
  PythonPicture result{py::reinterpret_borrow<py::buffer>(object).request(), {}};
  const py::buffer_info& memory = result.memory;
  if (memory.itemsize != 1) throw py::type_error("a picture is bytes or an array of uint8");
  py::ssize_t expected = 1;
  for (py::ssize_t axis = memory.ndim; axis-- > 0;) {
    if (memory.shape[static_cast<std::size_t>(axis)] > 1 && memory.strides[static_cast<std::size_t>(axis)] != expected)
      throw py::value_error("the array is not contiguous: use numpy.ascontiguousarray");
    expected *= memory.shape[static_cast<std::size_t>(axis)];
  }
  if (memory.ndim == 1) {
    result.picture = library::picture_file(memory.ptr, static_cast<std::size_t>(memory.size));
  } else if (memory.ndim == 3 && memory.shape[2] == 3 && memory.shape[0] <= 1'000'000 && memory.shape[1] <= 1'000'000) {
    result.picture =
        library::picture_pixels(memory.ptr, static_cast<int>(memory.shape[1]), static_cast<int>(memory.shape[0]));
  } else {
    throw py::value_error("an array of pixels has the shape (height, width, 3)");
  }
  return result;
}

py::list captioned(const library::Model& model, const py::sequence& objects, const py::kwargs& options) {
  std::vector<PythonPicture> memory;
  std::vector<capdiff_picture> pictures;
  for (const py::handle object : objects) {
    memory.push_back(picture_of(object));
    pictures.push_back(memory.back().picture);
  }
  const std::string options_json = json_of(options);
  std::string result;
  {
    const py::gil_scoped_release others_may_run;
    result = model.caption(pictures, options_json).json();
  }
  return json().attr("loads")(result);
}

py::dict filled(const library::Model& model, const py::object& object, const py::object& text,
                const py::kwargs& options) {
  const PythonPicture picture = picture_of(object);
  if (!py::isinstance<py::str>(text)) throw py::type_error("the sentence is a str");
  const auto sentence = text.cast<std::string>();
  const std::string options_json = json_of(options);
  std::string result;
  {
    const py::gil_scoped_release others_may_run;
    result = model.fill(picture.picture, sentence, options_json).json();
  }
  return py::list(json().attr("loads")(result))[0];
}

/// capdiff.Error, with the capdiff_status as `status`.
void register_error(py::module_& module) {
  static const py::handle type = py::exception<library::Error>(module, "Error", PyExc_RuntimeError).release();
  py::register_exception_translator([](std::exception_ptr thrown) {
    try {
      std::rethrow_exception(std::move(thrown));
    } catch (const library::Error& error) {
      const py::object instance = type(error.what());
      instance.attr("status") = static_cast<int>(error.status());
      PyErr_SetObject(type.ptr(), instance.ptr());
    }
  });
}

}  // namespace

PYBIND11_MODULE(capdiff, module) {
  module.doc() = "Captions of pictures by diffusion.";
  module.attr("__version__") = capdiff_version();
  register_error(module);

  py::class_<library::Model>(module, "Model", "A loaded model.")
      .def(py::init([](const py::object& folder, const py::kwargs& settings) {
             const auto path = py::module_::import("os").attr("fspath")(folder).cast<std::string>();
             return std::make_unique<library::Model>(path, json_of(settings));
           }),
           py::arg("folder") = "",
           "Model(folder='', dtype='auto', threads=0, deterministic=False, clip=DIR). Without a folder $CAPDIFF_MODEL, "
           "or the model that came with the library.")
      .def(
          "caption",
          [](const library::Model& model, const py::object& picture, const py::kwargs& options) -> py::object {
            if (py::isinstance<py::list>(picture) || py::isinstance<py::tuple>(picture))
              return captioned(model, picture, options);
            return captioned(model, py::make_tuple(picture), options)[0];
          },
          py::arg("picture"),
          "caption(picture, steps=30, guidance=2, candidates=1, length=8, preset='best', …) -> {'caption': …, "
          "'candidates': […]}. The picture is the bytes of a file, or an array of uint8 (height, width, 3). A list of "
          "pictures is one batch, and gives a list.")
      .def("fill", &filled, py::arg("picture"), py::arg("sentence"),
           "fill(picture, 'a [MASK] on the grass', …) -> {'caption': …, 'candidates': […]}.");
}
