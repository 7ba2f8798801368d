PYTHON ?= python
CLANG_FORMAT ?= clang-format
CPP = $(shell git ls-files '*.h' '*.cc')

.PHONY: build test bench format lint sanitize

build:
	$(PYTHON) -m pip install -q "setuptools>=77" pybind11 Cython numpy nlohmann-json
	$(PYTHON) -m pip install -q --no-build-isolation -e '.[cli,test,dev]'

test:
	$(PYTHON) -m pytest

bench:
	$(PYTHON) -m pytest benchmarks

format:
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .
	$(CLANG_FORMAT) -i $(CPP)

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(CLANG_FORMAT) --dry-run -Werror $(CPP)
	$(PYTHON) -m mypy

# A second copy of the core with AddressSanitizer and UBSan, in build/sanitize; the tests run against it.
sanitize:
	GENFAST_SANITIZE=address,undefined $(PYTHON) setup.py -q build --build-base build/sanitize --build-lib build/sanitize/lib
	cd build/sanitize && LD_PRELOAD="$$(g++ -print-file-name=libasan.so) $$(g++ -print-file-name=libubsan.so)" \
	  ASAN_OPTIONS=detect_leaks=0 PYTHONPATH=lib $(PYTHON) -m pytest -c ../../pyproject.toml --rootdir ../.. ../../tests -m "not slow" -k "not torch"
