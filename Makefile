PYTHON ?= python
CLANG_FORMAT ?= clang-format
CPP = $(shell git ls-files '*.h' '*.cc' '*.cu' '*.cuh')

.PHONY: build test bench format lint sanitize races gpu

build:
	$(PYTHON) -m pip install -q "setuptools>=77" pybind11 Cython numpy nlohmann-json
	$(PYTHON) -m pip install -q --no-build-isolation -e '.[cli,test,dev]'

test:
	$(PYTHON) -m pytest

bench:
	$(PYTHON) -m pytest benchmarks/bench_*.py

format:
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .
	$(CLANG_FORMAT) -i $(CPP)

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(CLANG_FORMAT) --dry-run -Werror $(CPP)
	$(PYTHON) -m mypy

# 10,000 mutated files read and sampled under AddressSanitizer and UBSan, and the thread pool under ThreadSanitizer.
JSON = $(shell $(PYTHON) -c "import nlohmann_json as j; print(list(j.__path__)[0])")/include
ASAN = -fsanitize=address,undefined -fno-sanitize-recover=all
ASAN_OBJECTS = $(patsubst %.cc,build/sanitize/%.o,$(shell git ls-files 'csrc/*.cc' | grep -v -e bindings/ -e sampling/ -e cuda/) tests/fuzz/mutate.cc)
# The kernels of distributions are linked but never called here, and take minutes to instrument.
$(patsubst %.cc,build/sanitize/%.o,$(shell git ls-files 'csrc/kernels/targets/*_*.cc')): ASAN =

sanitize:
	@$(MAKE) -s -j2 build/sanitize/mutate build/sanitize/pool_stress
	$(PYTHON) tests/fuzz/seeds.py build/sanitize
	@$(MAKE) -s -j2 mutations-1 mutations-5001
	build/sanitize/pool_stress 20

mutations-%:
	build/sanitize/mutate genfast/models/digits.genfast 2000 $*
	build/sanitize/mutate build/sanitize/attention.genfast 750 $*
	build/sanitize/mutate build/sanitize/loop.genfast 750 $*
	build/sanitize/mutate build/sanitize/decoder.genfast 750 $*
	build/sanitize/mutate build/sanitize/rounds.genfast 750 $*

build/sanitize/mutate: $(ASAN_OBJECTS)
	$(CXX) $(ASAN) -pthread $^ -o $@

build/sanitize/%.o: %.cc $(filter %.h,$(CPP))
	@mkdir -p $(@D)
	$(CXX) -std=c++17 -O1 -g1 $(ASAN) -ffp-contract=off -DRUN -Icsrc -Icsrc/include -I$(JSON) -c $< -o $@

build/sanitize/pool_stress: tests/fuzz/pool_stress.cc csrc/base/thread_pool.cc $(filter %.h,$(CPP))
	@mkdir -p $(@D)
	$(CXX) -std=c++17 -O1 -g1 -fsanitize=thread -Icsrc $(filter %.cc,$^) -pthread -o $@

# Device programs on the host, the items of a phase in several threads, under ThreadSanitizer, which must find control.cc's race.
RACES_SOURCES = $(shell git ls-files 'csrc/cuda/*.cc' 'csrc/cuda_bindings/*.cc')
RACES_TESTS = $(patsubst %,tests/cuda/test_%.py,sampling_programs decode decode_arrays fast)
RACES_FLAGS = -std=c++17 -O1 -g1 -fsanitize=thread -ffp-contract=off -fvisibility=hidden -fPIC -pthread -Itests/cuda/races -Icsrc \
  -Icsrc/include -DGENFAST_CUDA_HOST

races: $(patsubst %.cc,build/races/%.o,$(RACES_SOURCES)) build/races/control
	! setarch -R build/races/control 2>/dev/null
	cp -r genfast build/races/
	rm -f build/races/genfast/_cuda*
	$(CXX) -fsanitize=thread -shared -pthread $(filter %.o,$^) -o build/races/genfast/_cuda.so
	PYTHONPATH=build/races GENFAST_TEST_CUDA=1 OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 LD_PRELOAD=$$($(CXX) -print-file-name=libtsan.so) \
	  setarch -R $(PYTHON) -P -m pytest -q -p no:cacheprovider $(RACES_TESTS)

build/races/%.o: %.cc tests/cuda/races/cuda/on_host.h $(filter %.h,$(CPP))
	@mkdir -p $(@D)
	$(CXX) $(RACES_FLAGS) $$($(PYTHON) -m pybind11 --includes) \
	  -DGENFAST_INTERFACE="\"$$($(PYTHON) -c 'from genfast import _core; print(_core.interface)')\"" -c $< -o $@

build/races/control: tests/cuda/races/control.cc tests/cuda/races/cuda/on_host.h csrc/cuda/executor.h
	@mkdir -p $(@D)
	$(CXX) $(RACES_FLAGS) $< -o $@

# What only a machine with an NVIDIA GPU, nvcc and PyTorch can show: the tests that need one, and the benchmarks.
gpu:
	GENFAST_CUDA=1 $(PYTHON) setup.py build_ext --inplace
	PYTHONPATH=. GENFAST_TEST_CUDA=1 $(PYTHON) -m pytest -m gpu tests/cuda
	PYTHONPATH=. $(PYTHON) benchmarks/bench_cuda_decode.py --json benchmarks/results/cuda_decode.json
	PYTHONPATH=. $(PYTHON) benchmarks/bench_cuda_sampling.py --json benchmarks/results/cuda_sampling.json
