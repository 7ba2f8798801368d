// Model for genfast/model.py, which has already made the arrays contiguous and of the right shape; the sizes are checked again
// here. The GIL is released for the whole of a call, and taken briefly to look for Ctrl-C and to report progress.
#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/gil.h"
#include "genfast/genfast.h"

namespace py = pybind11;

namespace genfast {
namespace {

using U = py::array_t<double, py::array::c_style>;
using Levels = py::array_t<int32_t, py::array::c_style>;
using Floats = py::array_t<float, py::array::c_style>;

void expect(py::ssize_t got, int64_t want, const std::string& what) {
  if (got != want) throw py::value_error(what + " has " + std::to_string(got) + " elements; expected " + std::to_string(want));
}

// What every call takes, as Python passes it. Keeps the arrays alive.
struct Arguments {
  uint64_t seed, first_row;
  py::object u;
  float temperature;
  std::map<std::string, Floats> conditions;
  bool wavefront;
  py::object progress;

  Options options(const Model& model, int64_t n) const {
    Options o;
    o.seed = seed;
    o.first_row = first_row;
    o.temperature = temperature;
    o.wavefront = wavefront;
    if (!u.is_none()) {
      const U array = u.cast<U>();
      expect(array.size(), n * model.sites(), "u");
      o.u = array.data();
    }
    for (const ConditionInfo& info : model.conditions()) {
      const auto it = conditions.find(info.name);
      if (it == conditions.end()) continue;
      int64_t per_row = 1;
      for (int64_t d : info.shape) per_row *= d;
      expect(it->second.size(), n * per_row, "condition '" + info.name + "'");
    }
    for (const auto& [name, array] : conditions) o.conditions[name] = array.data();
    o.poll = [callback = progress.ptr()](int64_t done, int64_t total) {
      py::gil_scoped_acquire gil;
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      if (callback != Py_None) py::reinterpret_borrow<py::object>(callback)(done, total);
    };
    return o;
  }
};

// uint8 up to 256 levels, else int32; never negative, so n is checked before numpy sees it.
template <typename T>
py::object sample_as(const Model& model, int64_t n, const Options& options) {
  py::array_t<T> out(std::vector<py::ssize_t>{n, model.sites()});
  T* data = out.mutable_data();
  {
    const ReleasedGil released;
    model.sample(n, data, options);
  }
  return std::move(out);
}

py::object sample(const Model& model, int64_t n, const Arguments& arguments) {
  if (n < 0) throw py::value_error("n must be at least 0, got " + std::to_string(n));
  const Options options = arguments.options(model, n);
  return model.levels() <= 256 ? sample_as<uint8_t>(model, n, options) : sample_as<int32_t>(model, n, options);
}

int64_t rows_of(const Model& model, const Levels& x) {
  if (x.size() % model.sites() != 0)
    throw py::value_error("x does not hold whole rows of " + std::to_string(model.sites()) + " sites");
  return x.size() / model.sites();
}

py::array_t<double> log_prob(const Model& model, const Levels& x, const Arguments& arguments) {
  const int64_t n = rows_of(model, x);
  const Options options = arguments.options(model, n);
  py::array_t<double> out(n);
  double* data = out.mutable_data();
  const int32_t* levels = x.data();
  {
    const ReleasedGil released;
    model.log_prob(n, levels, data, options);
  }
  return out;
}

py::array_t<float> logits(const Model& model, const Levels& x, const Arguments& arguments) {
  const int64_t n = rows_of(model, x);
  const Options options = arguments.options(model, n);
  py::array_t<float> out(std::vector<py::ssize_t>{n, model.outputs(), model.sites()});
  float* data = out.mutable_data();
  const int32_t* levels = x.data();
  {
    const ReleasedGil released;
    model.logits(n, levels, data, options);
  }
  return out;
}

}  // namespace

void bind_model(py::module_& m) {
  py::class_<Arguments>(m, "Arguments")
      .def(py::init([](uint64_t seed, uint64_t first_row, py::object u, float temperature, std::map<std::string, Floats> conditions,
                       bool wavefront, py::object progress) {
             return Arguments{seed, first_row, std::move(u), temperature, std::move(conditions), wavefront, std::move(progress)};
           }),
           py::kw_only(), py::arg("seed") = 0, py::arg("first_row") = 0, py::arg("u") = py::none(), py::arg("temperature") = 1.0f,
           py::arg("conditions") = std::map<std::string, Floats>{}, py::arg("wavefront") = true, py::arg("progress") = py::none());

  py::class_<Model>(m, "Model")
      .def_static(
          "from_path", [](const std::string& path) { return Model::load(path); }, py::call_guard<ReleasedGil>())
      .def_static("from_bytes",
                  [](const py::bytes& data, const std::string& name) {
                    char* bytes;
                    py::ssize_t size;
                    if (PyBytes_AsStringAndSize(data.ptr(), &bytes, &size) != 0) throw py::error_already_set();
                    return Model::load(bytes, static_cast<size_t>(size), name);
                  })
      .def_property_readonly("sites", &Model::sites)
      .def_property_readonly("levels", &Model::levels)
      .def_property_readonly("input_shape", [](const Model& model) { return py::tuple(py::cast(model.input_shape())); })
      .def_property_readonly("meta", &Model::meta)
      .def_property_readonly("conditions",
                             [](const Model& model) {
                               py::list all;
                               for (const ConditionInfo& c : model.conditions()) {
                                 py::dict entry;
                                 entry["name"] = c.name;
                                 entry["shape"] = py::tuple(py::cast(c.shape));
                                 entry["dtype"] = c.integer ? "int" : "float";
                                 entry["size"] = c.integer ? py::object(py::int_(c.size)) : py::object(py::none());
                                 all.append(entry);
                               }
                               return all;
                             })
      .def("file_bytes", [](const Model& model) { return py::bytes(model.file_bytes()); })
      .def("plan", &Model::plan, py::arg("wavefront") = true, py::call_guard<ReleasedGil>())
      .def("explain", &Model::explain, py::call_guard<ReleasedGil>())
      .def("sample", &sample)
      .def("log_prob", &log_prob)
      .def("logits", &logits);

  m.def("set_num_threads", &set_num_threads);
  m.def("num_threads", &num_threads);
  m.def("cpu_target", &cpu_target);
}

}  // namespace genfast
