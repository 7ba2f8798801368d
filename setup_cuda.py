"""How genfast._cuda is built, for setup.py: which compiler, which flags, and what the kernels may cost.

Environment:
    GENFAST_CUDA        unset or 0: not built; 1: with nvcc; host: with g++ alone, only the interpretation of the device
                        programs on the host, for tests and machines without nvcc
    GENFAST_CUDA_ARCHS  compute capabilities to build for (default "80,90"); PTX of the last serves newer GPUs
    NVCC, CUDA_HOME     where nvcc is (else PATH and /usr/local/cuda); NVCC_CCBIN, its host compiler, is nvcc's own

Standard library only: the tests import this file. Run as a program it shows what the kernels of the last build use.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parent.resolve()
ROOMS = ("cuda", "cuda_bindings")
RESOURCES = "build/cuda_resources.json"
SETTINGS = "build/cuda_settings.json"
OLDEST_NVCC = (12, 0)
OLDEST_ARCH = 80

# What a kernel may use. 255 registers are all a thread can have, 48 KB of shared memory all that needs no opt-in; more
# spilled bytes than this cost more than the registers they save.
MAX_REGISTERS = 255
MAX_SHARED_BYTES = 48 * 1024
MAX_SPILL_BYTES = 512

# No contraction, IEEE division and square root, denormals kept: the CPU's bits.
NVCC_FLAGS = ["-std=c++17", "-O3", "-fmad=false", "-ftz=false", "-prec-div=true", "-prec-sqrt=true", "-Xptxas", "-v"]
# 1675 is nvcc's word for the pragmas that tell GCC to unroll. The errors are calls of host functions from device code,
# by default warnings, and the kernel a trap.
NVCC_FLAGS += ["-diag-suppress", "1675", "-Werror", "cross-execution-space-call"]
NVCC_FLAGS += ["-diag-error", "20011,20013,20014,20015"]
HOST_FLAGS = "-fPIC,-fvisibility=hidden,-ffp-contract=off,-pthread"


def mode(environ: Mapping[str, str]) -> str:
    """What GENFAST_CUDA asks for: "", "gpu" or "host". Raises SystemExit for another word."""
    word = environ.get("GENFAST_CUDA", "")
    known = {"": "", "0": "", "1": "gpu", "host": "host"}
    if word not in known:
        raise SystemExit(
            f"genfast: GENFAST_CUDA={word!r} is not known: 1 builds genfast._cuda with nvcc, host with g++ alone, 0 not"
        )
    return known[word]


def architectures(environ: Mapping[str, str]) -> list[int]:
    """Compute capabilities times ten, ascending, from GENFAST_CUDA_ARCHS. Raises SystemExit for what is none."""
    text = environ.get("GENFAST_CUDA_ARCHS") or "80,90"
    words = re.split(r"[,;\s]+", text.strip())
    if not all(re.fullmatch(r"[1-9]\d{1,2}", word) and int(word) >= OLDEST_ARCH for word in words):
        raise SystemExit(
            f"genfast: GENFAST_CUDA_ARCHS={text!r} is not a list of compute capabilities from {OLDEST_ARCH} on, "
            'such as "80,90"'
        )
    return sorted({int(word) for word in words})


def gencode(archs: list[int]) -> list[str]:
    flags = []
    for arch in archs:
        ptx = f",compute_{arch}" if arch == archs[-1] else ""
        flags += ["-gencode", f"arch=compute_{arch},code=[sm_{arch}{ptx}]"]
    return flags


@dataclass(frozen=True)
class Nvcc:
    """nvcc as it was found: its command, its version and its folders of headers and libraries."""

    command: list[str]
    version: tuple[int, int]
    include_dirs: list[str]
    library_dirs: list[str]


def candidates(environ: Mapping[str, str]) -> list[list[str]]:
    """Commands that may be nvcc, in the order in which they are tried."""
    if environ.get("NVCC"):
        return [shlex.split(environ["NVCC"])]
    homes = [environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if environ.get(name)]
    found = shutil.which("nvcc", path=environ.get("PATH", ""))
    paths = [*(f"{home}/bin/nvcc" for home in homes), found, "/usr/local/cuda/bin/nvcc"]
    return [[path] for path in paths if path]


def output(command: list[str]) -> str | None:
    """What a command prints, to both streams; None when it cannot be run or fails."""
    try:
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return run.stdout


def find_nvcc(environ: Mapping[str, str]) -> Nvcc:
    """The first nvcc of `candidates`. Raises SystemExit when there is none, or it is too old."""
    tried = candidates(environ)
    for command in tried:
        text = output([*command, "--version"])
        if text is None:
            continue
        release = re.search(r"release (\d+)\.(\d+)", text)
        version = (int(release[1]), int(release[2])) if release else (0, 0)
        if version < OLDEST_NVCC:
            said = ".".join(map(str, version)) if release else "of an unknown version"
            raise SystemExit(
                f"genfast: nvcc {said} ({shlex.join(command)}) is too old for GENFAST_CUDA=1: it needs "
                f"{'.'.join(map(str, OLDEST_NVCC))} or newer; set NVCC or CUDA_HOME to another"
            )
        # Where its headers and libcudart_static.a are differs between installers; nvcc itself knows.
        plan = output([*command, "-dryrun", "-x", "cu", "-c", os.devnull, "-o", os.devnull]) or ""
        folders = {"INCLUDES": [], "LIBRARIES": []}
        for name in folders:
            line = re.search(rf"^#\$ {name}=(.*)$", plan, re.MULTILINE)
            folders[name] = [os.path.normpath(word[2:]) for word in shlex.split(line[1] if line else "")]
        return Nvcc(command, version, folders["INCLUDES"], folders["LIBRARIES"])
    raise SystemExit(
        "genfast: GENFAST_CUDA=1 needs nvcc 12.0 or newer, and none was found; tried "
        + ", ".join(shlex.join(command) for command in tried)
        + ("" if environ.get("NVCC") else " and nvcc on PATH")
        + ". Install the CUDA toolkit or set NVCC or CUDA_HOME; without GENFAST_CUDA genfast is built for the CPU, and "
        "GENFAST_CUDA=host builds the interpretation on the host with g++ alone"
    )


def save_settings(settings: dict) -> None:
    """Notes what the objects depend on beside the sources; the file is only touched when that changes."""
    text = json.dumps(settings, indent=1)
    path = ROOT / SETTINGS
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def compile_command(nvcc: Nvcc, archs: list[int], source: str, obj: str, options: list[str]) -> list[str]:
    """nvcc's command line for one source; `options` are -I and -D."""
    flags = [*NVCC_FLAGS, *gencode(archs), "-Xcompiler", HOST_FLAGS, "-MD", "-MF", f"{obj}.d"]
    return [*nvcc.command, *flags, *options, "-c", source, "-o", obj]


def compile_source(nvcc: Nvcc, archs: list[int], source: str, obj: str, options: list[str]) -> None:
    """Compiles one .cu file, and keeps beside the object what ptxas says about its kernels. Raises RuntimeError when
    nvcc fails, after printing why."""
    command = compile_command(nvcc, archs, source, obj, options)
    print(shlex.join(command), flush=True)
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    told = "".join(line for line in run.stdout.splitlines(True) if not PTXAS_LINE.match(line))
    if told:
        print(told, end="", flush=True)
    if run.returncode:
        raise RuntimeError(f"nvcc failed on {source}")
    Path(f"{obj}.ptxas").write_text(run.stdout)


def needs_nvcc(obj: str) -> bool:
    """Whether anything that a .cu file's object was made from is newer than it, by nvcc's own list."""
    built = os.path.getmtime(obj)
    listed = Path(f"{obj}.d")
    if not listed.exists() or not Path(f"{obj}.ptxas").exists():
        return True
    files = listed.read_text().replace("\\\n", " ").partition(":")[2].split()
    return any(not os.path.exists(file) or os.path.getmtime(file) > built for file in files)


@dataclass(frozen=True)
class Kernel:
    """What one kernel uses on one architecture: per thread, and `shared` bytes of a block's static shared memory."""

    name: str
    arch: str
    registers: int
    shared: int
    stack: int
    spilled: int


PTXAS_LINE = re.compile(r"^(ptxas info\b|\s+\d+ bytes stack frame)")
ENTRY = re.compile(r"Compiling entry function '(\w+)' for '(\w+)'")
PROPERTIES = re.compile(r"Function properties for (\w+)")
STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+)(?:\+\d+)? bytes smem")


def kernels(ptxas: str) -> list[Kernel]:
    """The kernels in what `ptxas -v` says; a function that stayed a call counts towards the kernel listed before it."""
    found: list[dict] = []
    for line in ptxas.splitlines():
        if entry := ENTRY.search(line):
            found.append({"name": entry[1], "arch": entry[2], "registers": 0, "shared": 0, "stack": 0, "spilled": 0})
        elif found and (stack := STACK.search(line)):
            found[-1]["stack"] = max(found[-1]["stack"], int(stack[1]))
            found[-1]["spilled"] = max(found[-1]["spilled"], int(stack[2]), int(stack[3]))
        elif found and (used := USED.search(line)):
            found[-1]["registers"] = int(used[1])
            shared = SHARED.search(line)
            found[-1]["shared"] = int(shared[1]) if shared else 0
    return [Kernel(**kernel) for kernel in found]


def demangled(names: list[str]) -> list[str]:
    """C++ names for symbols, without arguments, where c++filt is at hand."""
    try:
        run = subprocess.run(["c++filt", "-p"], input="\n".join(names), capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return names
    return [name.replace("genfast::cuda::", "") for name in run.stdout.splitlines()]


# Fields of Kernel, each with its unit and limit; the stack has none.
COLUMNS = {
    "registers": ("registers", MAX_REGISTERS),
    "shared": ("bytes of static shared memory", MAX_SHARED_BYTES),
    "stack": ("bytes of stack", None),
    "spilled": ("spilled bytes", MAX_SPILL_BYTES),
}


def table(found: list[Kernel]) -> str:
    """One line a kernel, each cell with the architectures side by side."""
    if not found:
        return "genfast: no kernels"
    archs = sorted({kernel.arch for kernel in found}, key=lambda arch: (len(arch), arch))
    rows = {}
    for kernel in found:
        rows.setdefault(kernel.name, {})[kernel.arch] = kernel
    lines = [f"genfast: kernels on {' / '.join(archs)}: registers, static shared bytes, stack bytes, spilled bytes"]
    for name, cells in sorted(rows.items()):
        shown = [[str(getattr(cells[a], what)) if a in cells else "-" for a in archs] for what in COLUMNS]
        lines.append(f"  {name:<60} " + "  ".join(f"{' / '.join(cell):>15}" for cell in shown))
    return "\n".join(lines)


def beyond_limits(found: list[Kernel]) -> list[str]:
    """What is wrong with the kernels that use too much, one sentence each."""
    return [
        f"{kernel.name} on {kernel.arch} uses {getattr(kernel, what)} {unit}, {limit} are allowed"
        for kernel in found
        for what, (unit, limit) in COLUMNS.items()
        if limit is not None and getattr(kernel, what) > limit
    ]


def report(objects: list[str]) -> None:
    """Prints and writes down what the kernels in these objects use. Raises SystemExit when one uses too much."""
    texts = [Path(f"{obj}.ptxas").read_text() for obj in objects]
    found = [kernel for text in texts for kernel in kernels(text)]
    names = demangled([kernel.name for kernel in found])
    found = [Kernel(**{**asdict(kernel), "name": name}) for kernel, name in zip(found, names, strict=True)]
    found.sort(key=lambda kernel: (kernel.name, kernel.arch))
    path = ROOT / RESOURCES
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps([asdict(kernel) for kernel in found], indent=1) + "\n")
    if not found:
        return
    print(table(found), flush=True)
    if wrong := beyond_limits(found):
        raise SystemExit("genfast: " + "; ".join(wrong))


if __name__ == "__main__":
    print(table([Kernel(**kernel) for kernel in json.loads((ROOT / RESOURCES).read_text())]))
