// Model for genfast/model.py, which has already made the arrays contiguous and of the right shape; the sizes are checked again
// here. The GIL is released for the whole of a call, and taken briefly to look for Ctrl-C and to report progress.
#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <mutex>
#include <optional>

#include "bindings/arrays.h"
#include "bindings/gil.h"
#include "engine/backend.h"
#include "engine/program_of.h"
#include "genfast/genfast.h"

namespace py = pybind11;

namespace genfast {
namespace {

using Bytes = py::array_t<uint8_t, py::array::c_style>;

void expect(py::ssize_t got, int64_t want, const std::string& what) {
  if (got != want) throw py::value_error(what + " has " + std::to_string(got) + " elements; expected " + std::to_string(want));
}

using Conditions = std::map<std::string, FloatRows>;

// What every call takes, as Python passes it. Keeps the arrays alive.
struct Arguments {
  uint64_t seed, first_row;
  py::object u;
  Conditions conditions;
  float temperature;
  int64_t top_k;
  double top_p, min_p;
  float guidance;
  Conditions unconditional;
  std::optional<Bytes> known;
  std::optional<Longs> prompt;
  int64_t max_tokens;
  std::vector<int32_t> stop;
  bool wavefront;
  py::object progress;

  // uniforms: how many a row takes.
  Options options(const Model& model, int64_t n, int64_t uniforms) const {
    Options o;
    o.seed = seed;
    o.first_row = first_row;
    o.temperature = temperature;
    o.top_k = top_k;
    o.top_p = top_p;
    o.min_p = min_p;
    o.guidance = guidance;
    o.max_tokens = max_tokens;
    o.stop = stop;
    o.wavefront = wavefront;
    if (!u.is_none()) {
      const Doubles array = u.cast<Doubles>();
      expect(array.size(), n * uniforms, "u");
      o.u = array.data();
    }
    if (known) {
      expect(known->size(), model.sites(), "known");
      o.known = known->data();
    }
    if (prompt) {
      expect(prompt->size(), n, "prompt");
      o.prompt = prompt->data();
    }
    take(model, n, conditions, "condition", o.conditions);
    take(model, n, unconditional, "unconditional", o.unconditional);
    o.poll = [callback = progress.ptr()](int64_t done, int64_t total) {
      py::gil_scoped_acquire gil;
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      if (callback != Py_None) py::reinterpret_borrow<py::object>(callback)(done, total);
    };
    return o;
  }
  Options options(const Model& model, int64_t n) const { return options(model, n, model.sites()); }

 private:
  static void take(const Model& model, int64_t n, const Conditions& arrays, const std::string& what,
                   std::map<std::string, const float*>& to) {
    for (const ConditionInfo& info : model.conditions()) {
      const auto it = arrays.find(info.name);
      if (it == arrays.end()) continue;
      int64_t per_row = 1;
      for (int64_t d : info.shape) per_row *= d;
      expect(it->second.size(), n * per_row, what + " '" + info.name + "'");
    }
    for (const auto& [name, array] : arrays) to[name] = array.data();
  }
};

Levels as_array(const std::vector<int32_t>& sites) { return Levels(static_cast<py::ssize_t>(sites.size()), sites.data()); }

int64_t rows_of(const Model& model, const py::array& x) {
  if (x.size() % model.sites() != 0)
    throw py::value_error("x does not hold whole rows of " + std::to_string(model.sites()) + " sites");
  return x.size() / model.sites();
}

// Calls f with a pointer to the sites of x as the model takes them: int32 levels, or float32 numbers.
template <class F>
void with_sites(const Model& model, const py::array& x, const F& f) {
  if (model.levels() > 0) {
    const int32_t* levels = x.cast<Levels>().data();
    const ReleasedGil released;
    f(levels);
  } else {
    const float* numbers = x.cast<FloatRows>().data();
    const ReleasedGil released;
    f(numbers);
  }
}

template <class T>
py::object sample_as(const Model& model, int64_t n, const py::object& given, const Options& options) {
  py::array_t<T> out(std::vector<py::ssize_t>{n, model.sites()});
  T* data = out.mutable_data();
  if (!given.is_none()) {
    const auto array = given.cast<py::array_t<T, py::array::c_style | py::array::forcecast>>();
    expect(array.size(), n * model.sites(), "given");
    std::copy_n(array.data(), array.size(), data);
  }
  {
    const ReleasedGil released;
    model.sample(n, data, options);
  }
  return std::move(out);
}

// Levels as uint8 where all fit, else int32; numbers as float32. `given`: (n, sites), read where Arguments say so.
py::object sample_rows(const Model& model, int64_t n, const Arguments& arguments, const py::object& given) {
  // Never negative, so n is checked before numpy sees it.
  if (n < 0) throw py::value_error("n must be at least 0, got " + std::to_string(n));
  if ((arguments.known || arguments.prompt) && given.is_none()) throw py::value_error("given is missing");
  const Options options = arguments.options(model, n);
  if (model.levels() == 0) return sample_as<float>(model, n, given, options);
  return model.levels() <= 256 && model.bos() < 256 ? sample_as<uint8_t>(model, n, given, options)
                                                    : sample_as<int32_t>(model, n, given, options);
}

FloatRows outputs(const Model& model, int64_t n) {
  std::vector<py::ssize_t> shape(model.output_shape().begin(), model.output_shape().end());
  shape.insert(shape.begin(), n);
  return FloatRows(shape);
}

template <class T>
py::tuple generate_as(const Model& model, int64_t n, bool sites, const Options& options) {
  FloatRows out = outputs(model, n);
  py::array_t<T> drawn(std::vector<py::ssize_t>{sites ? n : 0, model.sites()});
  float* data = out.mutable_data();
  T* to = sites ? drawn.mutable_data() : nullptr;
  {
    const ReleasedGil released;
    model.generate(n, data, to, options);
  }
  return py::make_tuple(std::move(out), sites ? py::object(std::move(drawn)) : py::none());
}

// Outputs (n, *output_shape), and with `sites` those they were computed from, (n, sites) int32 or float32, else None.
py::tuple generate(const Model& model, int64_t n, const Arguments& arguments, bool sites) {
  if (n < 0) throw py::value_error("n must be at least 0, got " + std::to_string(n));
  const Options options = arguments.options(model, n, model.uniforms());
  return model.levels() > 0 ? generate_as<int32_t>(model, n, sites, options) : generate_as<float>(model, n, sites, options);
}

FloatRows apply(const Model& model, const py::array& x, const Arguments& arguments) {
  const int64_t n = rows_of(model, x);
  const Options options = arguments.options(model, n, model.uniforms());
  FloatRows out = outputs(model, n);
  float* data = out.mutable_data();
  with_sites(model, x, [&](auto* sites) { model.apply(n, sites, data, options); });
  return out;
}

py::array_t<double> log_prob(const Model& model, const py::array& x, const Arguments& arguments) {
  const int64_t n = rows_of(model, x);
  const Options options = arguments.options(model, n);
  py::array_t<double> out(n);
  double* data = out.mutable_data();
  with_sites(model, x, [&](auto* sites) { model.log_prob(n, sites, data, options); });
  return out;
}

py::tuple rosenblatt(const Model& model, const py::array& x, const Arguments& arguments) {
  const int64_t n = rows_of(model, x);
  const Options options = arguments.options(model, n);
  const std::vector<py::ssize_t> shape{n, model.sites()};
  py::array_t<double> lower(shape), upper(shape);
  double *low = lower.mutable_data(), *high = upper.mutable_data();
  with_sites(model, x, [&](auto* sites) { model.rosenblatt(n, sites, low, high, options); });
  return py::make_tuple(lower, upper);
}

py::array_t<float> logits(const Model& model, const py::array& x, const Arguments& arguments) {
  const int64_t n = rows_of(model, x);
  const Options options = arguments.options(model, n);
  py::array_t<float> out(
      std::vector<py::ssize_t>{n, model.outputs(), model.outputs_by_position() ? model.positions() : model.sites()});
  float* data = out.mutable_data();
  with_sites(model, x, [&](auto* sites) { model.logits(n, sites, data, options); });
  return out;
}

// For an extension module that takes whole calls: a capsule of a std::shared_ptr<const Program>. Conditions are there by name,
// empty.
py::capsule program(const Model& model, const Arguments& arguments, bool draws, bool output, bool logits, int64_t shortest_prompt) {
  const RowlessCall call{arguments.options(model, 0), draws, output, logits, shortest_prompt};
  using Held = std::shared_ptr<const Program>;
  std::unique_ptr<Held> held;
  {
    const ReleasedGil released;
    held = std::make_unique<Held>(program_of(model, call));
  }
  py::capsule capsule(held.get(), kProgramCapsule,
                      [](PyObject* o) { delete static_cast<Held*>(PyCapsule_GetPointer(o, kProgramCapsule)); });
  held.release();
  return capsule;
}

// A TokenStream that Python's for may read from any one thread at a time.
class Stream {
 public:
  Stream(const Model& model, int64_t n, const Arguments& arguments, const py::object& given) : n_(n) {
    if (n < 0) throw py::value_error("n must be at least 0, got " + std::to_string(n));
    if (arguments.prompt && given.is_none()) throw py::value_error("given is missing");
    Options options = arguments.options(model, n);
    // Outlives `arguments`, and so reports no progress.
    options.poll = [](int64_t, int64_t) {
      py::gil_scoped_acquire gil;
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    };
    Levels array;
    if (!given.is_none()) {
      array = given.cast<Levels>();
      expect(array.size(), n * model.sites(), "given");
    }
    const int32_t* levels = given.is_none() ? nullptr : array.data();
    const ReleasedGil released;
    stream_.emplace(model.stream(n, levels, options));
  }

  // The next token of every row (n,), or None.
  py::object next() {
    Levels out(n_);
    int32_t* levels = out.mutable_data();
    bool more;
    {
      const ReleasedGil released;
      const std::lock_guard<std::mutex> lock(mutex_);
      more = stream_->next(levels);
    }
    return more ? py::object(std::move(out)) : py::none();
  }

 private:
  int64_t n_;
  std::mutex mutex_;
  std::optional<TokenStream> stream_;
};

}  // namespace

void bind_model(py::module_& m) {
  py::class_<Arguments>(m, "Arguments")
      .def(py::init([](uint64_t seed, uint64_t first_row, py::object u, Conditions conditions, float temperature, int64_t top_k,
                       double top_p, double min_p, float guidance, Conditions unconditional, std::optional<Bytes> known,
                       std::optional<Longs> prompt, int64_t max_tokens, std::vector<int32_t> stop, bool wavefront,
                       py::object progress) {
             return Arguments{
                 seed,       first_row,       std::move(u), std::move(conditions),    temperature,      top_k,
                 top_p,      min_p,           guidance,     std::move(unconditional), std::move(known), std::move(prompt),
                 max_tokens, std::move(stop), wavefront,    std::move(progress)};
           }),
           py::kw_only(), py::arg("seed") = 0, py::arg("first_row") = 0, py::arg("u") = py::none(),
           py::arg("conditions") = Conditions{}, py::arg("temperature") = 1.0f, py::arg("top_k") = INT64_MAX,
           py::arg("top_p") = 1.0, py::arg("min_p") = 0.0, py::arg("guidance") = 1.0f, py::arg("unconditional") = Conditions{},
           py::arg("known") = py::none(), py::arg("prompt") = py::none(), py::arg("max_tokens") = INT64_MAX,
           py::arg("stop") = std::vector<int32_t>{}, py::arg("wavefront") = true, py::arg("progress") = py::none());

  py::class_<Stream>(m, "Stream").def("next", &Stream::next);

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
      .def("to", &Model::to)
      .def_property_readonly("device", &Model::device)
      .def_property_readonly("sites", &Model::sites)
      .def_property_readonly("positions", &Model::positions)
      .def_property_readonly("channels", &Model::channels)
      .def_property_readonly("levels", &Model::levels)
      .def_property_readonly("outputs", &Model::outputs)
      .def_property_readonly("outputs_by_position", &Model::outputs_by_position)
      .def_property_readonly("integer_input", &Model::integer_input)
      .def_property_readonly("fixed_sites", [](const Model& model) { return as_array(model.fixed_sites()); })
      .def_property_readonly("bos", &Model::bos)
      .def_property_readonly("order", [](const Model& model) { return as_array(model.order()); })
      .def_property_readonly("input_shape", [](const Model& model) { return py::tuple(py::cast(model.input_shape())); })
      .def_property_readonly("has_distribution", &Model::has_distribution)
      .def_property_readonly("output_shape",
                             [](const Model& model) {
                               return model.has_output() ? py::object(py::tuple(py::cast(model.output_shape()))) : py::none();
                             })
      .def_property_readonly("rounds", &Model::rounds)
      .def_property_readonly("uniforms", &Model::uniforms)
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
      .def("sample", &sample_rows, py::arg("n"), py::arg("arguments"), py::arg("given") = py::none())
      .def(
          "stream",
          [](const Model& model, int64_t n, const Arguments& arguments, const py::object& given) {
            return std::make_unique<Stream>(model, n, arguments, given);
          },
          py::arg("n"), py::arg("arguments"), py::arg("given") = py::none())
      .def("program", &program, py::arg("arguments"), py::arg("draws"), py::arg("output"), py::arg("logits"),
           py::arg("shortest_prompt"))
      .def("generate", &generate, py::arg("n"), py::arg("arguments"), py::arg("sites") = false)
      .def("apply", &apply)
      .def("log_prob", &log_prob)
      .def("rosenblatt", &rosenblatt)
      .def("logits", &logits);

  // For other extension modules, which cannot link to this one: calls that add a device.
  m.def("backend_registry", [] { return py::capsule(reinterpret_cast<void*>(&register_backend), kBackendRegistry); });
  m.def("set_num_threads", &set_num_threads);
  m.def("num_threads", &num_threads);
  m.def("cpu_target", &cpu_target);
}

}  // namespace genfast
