// `genfast._core.distributions`: the elementwise families by name, over contiguous arrays that genfast/distributions/ has already
// converted, broadcast and checked. Sizes are checked again here, because a kernel checks nothing.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <chrono>
#include <string>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/family_names.h"
#include "bindings/gil.h"
#include "sampling/elementwise.h"

namespace py = pybind11;

namespace genfast {
namespace {

bool is_contiguous(const py::array& a) { return (a.flags() & py::array::c_style) != 0; }
bool is_f32(const py::array& a) { return py::isinstance<py::array_t<float>>(a); }
bool is_f64(const py::array& a) { return py::isinstance<py::array_t<double>>(a); }

Reals input(const py::array& x, int64_t n) {
  require(is_contiguous(x) && (is_f32(x) || is_f64(x)), "x must be a contiguous array of float32 or float64");
  require(n == 0 || (x.size() > 0 && n % x.size() == 0), "x does not repeat evenly over out");
  if (is_f32(x)) return {nullptr, static_cast<const float*>(x.data()), x.size()};
  return {static_cast<const double*>(x.data()), nullptr, x.size()};
}

RealsOut output(py::array& out) {
  require(is_contiguous(out) && (is_f32(out) || is_f64(out)), "out must be a contiguous array of float32 or float64");
  require(out.writeable(), "out must be writeable");
  if (is_f32(out)) return {nullptr, static_cast<float*>(out.mutable_data())};
  return {static_cast<double*>(out.mutable_data()), nullptr};
}

std::vector<Repeated> parameters(Family family, const std::vector<Doubles>& params, int64_t n) {
  require(static_cast<int>(params.size()) == info(family).params,
          std::string(info(family).name) + " takes " + std::to_string(info(family).params) + " parameters");
  std::vector<Repeated> repeated;
  for (const Doubles& p : params) {
    require(n == 0 || (p.size() > 0 && n % p.size() == 0), "a parameter does not repeat evenly over out");
    repeated.push_back({p.data(), p.size()});
  }
  return repeated;
}

// Lets Ctrl-C through, every 20 ms: taking the GIL is slow where other threads want it.
class SignalPoll {
 public:
  void operator()() {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::milliseconds(20)) return;
    last_ = now;
    py::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

int64_t evaluate_family(const std::string& family_name, const std::string& fn, const py::array& x,
                        const std::vector<Doubles>& params, py::array out) {
  const Family family = family_named(family_name);
  const FamilyFn function = function_named(fn);
  const int64_t n = out.size();
  const Reals from = input(x, n);
  const std::vector<Repeated> repeated = parameters(family, params, n);
  const RealsOut to = output(out);
  const ReleasedGil released;
  return evaluate(family, function, from, repeated.data(), n, to, SignalPoll());
}

void sample_family(const std::string& family_name, uint64_t seed, uint64_t row, uint64_t first_site,
                   const std::vector<Doubles>& params, py::array out) {
  const Family family = family_named(family_name);
  const int64_t n = out.size();
  const std::vector<Repeated> repeated = parameters(family, params, n);
  const RealsOut to = output(out);
  const ReleasedGil released;
  sample(family, seed, row, first_site, repeated.data(), n, to, SignalPoll());
}

py::list families() {
  py::list list;
  for (int i = 0; i < static_cast<int>(Family::count); ++i) {
    const FamilyInfo& family = info(static_cast<Family>(i));
    list.append(py::make_tuple(family.name, family.params, has_float_kernel(static_cast<Family>(i))));
  }
  return list;
}

}  // namespace

void bind_distributions(py::module_& m) {
  py::module_ d = m.def_submodule("distributions", "Elementwise families over contiguous arrays. Private.");
  using namespace py::literals;
  d.def("families", &families, "[(name, number of parameters, has a float32 kernel)]");
  d.def("evaluate", &evaluate_family, "family"_a, "fn"_a, "x"_a, "params"_a, "out"_a,
        "Fills out; x and parameters repeat. Returns the first flat index of a probability outside [0, 1], or -1.");
  d.def("sample", &sample_family, "family"_a, "seed"_a, "row"_a, "first_site"_a, "params"_a, "out"_a);
}

}  // namespace genfast
