"""Builds genfast._core (C++17, pybind11), genfast._bitgen and _philox (Cython) and, where GENFAST_CUDA asks for it,
genfast._cuda (setup_cuda.py). All else is in pyproject.toml.

Environment: GENFAST_BUILD_JOBS, the number of compilers at once (default: one a core); setup_cuda.py has CUDA's.
"""

import importlib.util
import itertools
import os
import platform
import shlex
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import numpy
import pybind11
from Cython.Build import cythonize
from pybind11.setup_helpers import ParallelCompile
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import CompileError

ROOT = Path(__file__).parent.resolve()
sys.path.insert(0, str(ROOT))  # isolated builds leave the project's folder out
import setup_cuda  # noqa: E402

ROOMS = ("base", "graph", "plan", "kernels", "engine", "sampling", "bindings")
# Rooms whose sources compile as one, a file in UNITS that includes them: most of a small file's time goes into the
# headers, and pybind11's inline functions.
WHOLE_ROOMS = ("graph", "plan", "engine", "sampling", "bindings", "cuda_bindings")
UNITS = ROOT / "build/units"
# What takes long, longest first, so that no compiler is left alone at the end.
LONG = ("bindings", "avx512", "scalar_families", "engine", "avx2", "avx2_families")
COMPILER = "genfast needs a C++17 compiler: g++ 11 or newer, or clang 14 or newer (Debian: apt install g++)"

FULL = "-O3"
# Contraction would let a compiler fuse what the design writes as two operations, and the bits would depend on it. No
# -march: the kernels choose their instructions themselves, so that one build runs on every CPU.
COMPILE = ["-std=c++17", FULL, "-ffp-contract=off", "-fvisibility=hidden", "-g0", "-pthread", "-Wall", "-Wextra"]
LINK = ["-pthread"]


def relative(paths: list[Path]) -> list[str]:
    """Setuptools wants paths inside the project, relative and with forward slashes."""
    return sorted(path.relative_to(ROOT).as_posix() for path in paths)


def json_include() -> str:
    """Directory of nlohmann/json.hpp, from the PyPI package nlohmann-json. Raises SystemExit when it is absent."""
    spec = importlib.util.find_spec("nlohmann_json")
    places = list(spec.submodule_search_locations or []) if spec else []
    found = [os.path.join(place, "include") for place in places]
    for include in found:
        if os.path.exists(os.path.join(include, "nlohmann", "json.hpp")):
            return include
    raise SystemExit("genfast: nlohmann/json.hpp not found; build with isolation, or first: pip install nlohmann-json")


def sources_in(*rooms: str) -> list[str]:
    return relative([path for room in rooms for path in ROOT.glob(f"csrc/{room}/**/*.cc")])


def written(name: str, text: str) -> str:
    """A file in UNITS, touched only when its text changes: what depends on it is then made again."""
    UNITS.mkdir(parents=True, exist_ok=True)
    path = UNITS / name
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return path.relative_to(ROOT).as_posix()


def units(*rooms: str) -> list[str]:
    """What to compile of these rooms. Writes the sources that stand for whole ones."""
    made = []
    for room in rooms:
        if room not in WHOLE_ROOMS:
            made += sources_in(room)
            continue
        text = "".join(f'#include "{source.removeprefix("csrc/")}"\n' for source in sources_in(room))
        made.append(written(f"{room}.cc", text))
    return made


def listed(name: str, sources: list[str]) -> str:
    """A file that lists the sources of a library, so that one without a source that was removed is linked again."""
    return written(f"{name}.txt", "\n".join(sources))


def room_of(source: str) -> str | None:
    """The room that a source in UNITS stands for; None for others."""
    path = Path(source)
    return path.stem if ROOT / path.parent == UNITS else None


def of_cuda(path: str) -> bool:
    return path.startswith(tuple(f"csrc/{room}/" for room in setup_cuda.ROOMS)) or room_of(path) in setup_cuda.ROOMS


def headers(cuda: bool = False) -> list[str]:
    """Every header, those of CUDA's rooms only for CUDA's sources: nothing else may include them."""
    return [
        path for path in relative([*ROOT.glob("csrc/**/*.h"), *ROOT.glob("csrc/**/*.cuh")]) if cuda or not of_cuda(path)
    ]


def needs_recompile(obj: str, source: str) -> bool:
    """Rebuild when the source, any header or this file is newer: headers are few and a missed one is worse. nvcc takes
    minutes, so its sources are rebuilt by what they include."""
    built = os.path.getmtime(obj)
    room = room_of(source)
    cuda = of_cuda(source)
    more = ["setup_cuda.py", setup_cuda.SETTINGS] if cuda else []
    if source.endswith(".cu"):
        return setup_cuda.needs_nvcc(obj) or any(os.path.getmtime(ROOT / path) > built for path in more)
    parts = [source, "setup.py", *(sources_in(room) if room else ())]
    return any(os.path.getmtime(ROOT / path) > built for path in [*parts, *more, *headers(cuda)])


def interface() -> str:
    """A checksum of what _core and _cuda share in memory, so that two that were not built together notice."""
    shared = [
        path for path in headers() if path.startswith(("csrc/base/", "csrc/graph/", "csrc/plan/", "csrc/engine/"))
    ]
    return f"{zlib.crc32(b''.join((ROOT / path).read_bytes() for path in shared)):08x}"


def optimization(source: str) -> str:
    """As much as pays: bindings only pass arrays on, graphs are small, and x86's scalar kernels wait for fmaf. `pip
    install` would take half a minute longer with -O3 everywhere."""
    if platform.machine() in ("x86_64", "AMD64") and "/targets/scalar" in source:
        # -Og compiles these two in a third of the time, and the others no faster.
        return "-Og" if source.endswith(("/scalar.cc", "/scalar_rows.cc")) else "-O1"
    quick = room_of(source) in ("bindings", "cuda_bindings", "graph", "plan") or source.endswith("/_bitgen.cpp")
    return "-O1" if quick else FULL


def length_rank(source: str) -> int:
    """Where in the order of compilation a source belongs: nvcc's, which take minutes, before all."""
    name = Path(source).stem
    return -1 if source.endswith(".cu") else LONG.index(name) if name in LONG else len(LONG)


class BuildPy(build_py):
    """build_py that begins anew: a wheel takes all that lies in the build folder, and earlier builds may have left
    modules, models or libraries there that are no more."""

    def run(self) -> None:
        if not self.editable_mode:
            shutil.rmtree(Path(self.build_lib, "genfast"), ignore_errors=True)
        super().run()


class BuildExt(build_ext):
    """build_ext with a message a person can act on when the compiler is missing or too old."""

    def finalize_options(self) -> None:
        super().finalize_options()
        if not os.environ.get("GENFAST_BUILD_JOBS"):
            self.parallel = self.parallel or 3  # the small extensions fill the gaps of the large one

    def build_extensions(self) -> None:
        words = getattr(self.compiler, "compiler_so_cxx", None) or self.compiler.compiler_so
        command = list(itertools.takewhile(lambda word: not word.startswith("-"), words))  # perhaps "ccache g++"
        try:
            dump = subprocess.run(
                [*command, "-dM", "-E", "-x", "c++", os.devnull], capture_output=True, text=True, check=True
            ).stdout
        except (OSError, subprocess.CalledProcessError) as error:
            raise SystemExit(f"{COMPILER}; tried {shlex.join(command)!r}: {error}") from None
        macros = dict(line.split(" ", 2)[1:] for line in dump.splitlines() if line.count(" ") >= 2)
        clang = "__clang_major__" in macros
        version = int(macros.get("__clang_major__" if clang else "__GNUC__", "0"))
        if version < (14 if clang else 11):
            raise SystemExit(f"{COMPILER}; {shlex.join(command)!r} is {'clang' if clang else 'gcc'} {version}")
        compile_one, compile_all = self.compiler._compile, self.compiler.compile

        def compile_longest_first(sources, **settings):  # setuptools has sorted them by name
            return compile_all(sorted(sources, key=length_rank), **settings)

        def compile_as_pays(obj, src, ext, cc_args, extra_postargs, pp_opts):
            if src.endswith(".cu"):
                try:
                    return setup_cuda.compile_source(NVCC, ARCHS, src, obj, pp_opts)
                except RuntimeError as error:
                    raise CompileError(str(error)) from None
            flags = [optimization(src) if flag == FULL else flag for flag in extra_postargs]
            if room_of(src) in ("bindings", "cuda_bindings"):
                flags.append(f'-DGENFAST_INTERFACE="{interface()}"')
            return compile_one(obj, src, ext, cc_args, flags, pp_opts)

        # Of linking: its objects may all be older than a library that was built of one more. Compiling asks
        # needs_recompile.
        self.compiler.force = True
        self.compiler._compile = compile_as_pays
        self.compiler.compile = compile_longest_first
        self.compiler.src_extensions = [*self.compiler.src_extensions, ".cu"]
        super().build_extensions()
        if NVCC:
            sources = [
                source for extension in self.extensions for source in extension.sources if source.endswith(".cu")
            ]
            setup_cuda.report(self.compiler.object_filenames(sources, output_dir=self.build_temp))


def core() -> Extension:
    """The CPU core, the same whether CUDA is built or not."""
    sources = units(*ROOMS)
    return Extension(
        "genfast._core",
        sources,
        include_dirs=["csrc", "csrc/include", pybind11.get_include(), json_include()],
        depends=[*headers(), *sources_in(*ROOMS), listed("core", sources)],
        extra_compile_args=COMPILE,
        extra_link_args=LINK,
        language="c++",
    )


def cuda() -> list[Extension]:
    """The GPU backend, or its interpretation on the host; nothing unless GENFAST_CUDA asks for it."""
    if not CUDA:
        return []
    setup_cuda.save_settings({"mode": CUDA, "nvcc": NVCC and [*NVCC.command, NVCC.version], "archs": ARCHS})
    sources = units(*setup_cuda.ROOMS)
    if NVCC:
        sources += relative([path for room in setup_cuda.ROOMS for path in ROOT.glob(f"csrc/{room}/**/*.cu")])
    return [
        Extension(
            "genfast._cuda",
            sources,
            include_dirs=["csrc", "csrc/include", pybind11.get_include(), *(NVCC.include_dirs if NVCC else [])],
            define_macros=[("GENFAST_CUDA_OLDEST", str(ARCHS[0])) if NVCC else ("GENFAST_CUDA_HOST", "1")],
            library_dirs=NVCC.library_dirs if NVCC else [],
            libraries=["cudart_static", "dl", "rt"] if NVCC else [],
            depends=[
                *headers(cuda=True),
                *sources_in(*setup_cuda.ROOMS),
                setup_cuda.SETTINGS,
                listed("cuda", sources),
            ],
            extra_compile_args=COMPILE,
            # cudart's names stay inside, whatever other copy of it the process has loaded.
            extra_link_args=[*LINK, "-Wl,--exclude-libs,ALL"],
            language="c++",
        )
    ]


def bitgen() -> list[Extension]:
    """NumPy's bit generators: theirs read natively, and ours."""
    extensions = [
        Extension(
            f"genfast.{name}",
            [f"genfast/{name}.pyx"],
            include_dirs=["csrc", numpy.get_include()],
            extra_compile_args=[flag for flag in COMPILE if not flag.startswith("-W")],
            extra_link_args=LINK,
            language="c++",
        )
        for name in ("_bitgen", "_philox")
    ]
    return cythonize(extensions, language_level=3, build_dir="build/cython")


CUDA = setup_cuda.mode(os.environ)
NVCC = setup_cuda.find_nvcc(os.environ) if CUDA == "gpu" else None
ARCHS = setup_cuda.architectures(os.environ)
ParallelCompile("GENFAST_BUILD_JOBS", needs_recompile=needs_recompile).install()
setup(ext_modules=[core(), *bitgen(), *cuda()], cmdclass={"build_py": BuildPy, "build_ext": BuildExt})
