// pybind11, as every file of this folder includes it, first of all: setup.py compiles this header once for all of them, which
// saves three seconds a file. Nothing else belongs here.
#pragma once
#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
