// Uniforms for genfast/stream.py, which has checked the arguments and made the array. The GIL is released for the whole of a
// call, and taken briefly to look for Ctrl-C.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "bindings/gil.h"
#include "sampling/uniforms.h"

namespace py = pybind11;

namespace genfast {
namespace {

template <class T>
void fill_matrix(py::array_t<T> out, uint64_t seed, uint64_t first_row, uint64_t first_site) {
  if (out.ndim() != 2 || !(out.flags() & py::array::c_style)) throw py::value_error("out must be a C-contiguous matrix");
  T* data = out.mutable_data();
  const int64_t rows = out.shape(0), sites = out.shape(1);
  const ReleasedGil released;
  fill_uniforms(data, seed, first_row, rows, first_site, sites, [] {
    py::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  });
}

}  // namespace

void bind_uniforms(py::module_& m) {
  using namespace py::literals;
  m.def("fill_uniforms", &fill_matrix<double>, "out"_a.noconvert(), "seed"_a, "first_row"_a, "first_site"_a);
  m.def("fill_uniforms", &fill_matrix<float>, "out"_a.noconvert(), "seed"_a, "first_row"_a, "first_site"_a);
}

}  // namespace genfast
