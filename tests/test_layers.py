"""The house's arrows (DESIGN, contract 5), read from every #include and every import.

A room may use what an arrow leads to, and what is below that: `engine` sees `graph` through `plan`. So the rule is a
partial order, and what it forbids is every upward or sideways look: `plan` and `kernels` never see each other, nothing
sees `bindings`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

ARROWS = {
    "bindings": {"engine", "sampling"},
    "engine": {"plan", "kernels", "include"},
    "sampling": {"kernels"},
    "plan": {"graph"},
    "kernels": {"numerics"},
    "cuda": {"plan", "numerics"},
    "cuda_bindings": {"cuda"},
    "graph": set(),
    "numerics": set(),
    "include": set(),
    "base": set(),
}
EXTRA_FILES = {
    ("cuda", "engine/backend.h"),
    ("cuda_bindings", "engine/backend.h"),
    ("cuda_bindings", "bindings/translate.h"),
    ("cuda_bindings", "bindings/family_names.h"),
}
PYTHON_ROOMS = ("bindings", "cuda_bindings")
PYTHON_HEADER = re.compile(r"^(Python\.h|pybind11/.*|numpy/.*)$")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)

MAY_IMPORT_TORCH = ("export/", "zoo/", "cli/bench_command.py")
# Who may import a part of the package beside that part itself.
PYTHON_USERS = {
    "cli": (),
    "zoo": ("cli/",),
    "_cuda": ("devices.py",),
    "export": ("model.py", "ascent.py", "cli/", "zoo/"),
}


def below(room: str) -> set[str]:
    """Every room that `room` may include: itself, base, and all that its arrows reach."""
    reached, todo = {room, "base"}, [room]
    while todo:
        for other in ARROWS[todo.pop()] - reached:
            reached.add(other)
            todo.append(other)
    return reached


def wrong_includes(csrc: Path) -> list[str]:
    """Every include in `csrc` against the arrows, as "file: header"."""
    wrong = []
    for file in sorted([*csrc.rglob("*.h"), *csrc.rglob("*.cc"), *csrc.rglob("*.cu"), *csrc.rglob("*.cuh")]):
        name = file.relative_to(csrc).as_posix()
        room = name.split("/")[0]
        if room not in ARROWS:
            wrong.append(f"{name}: {room} is not a room of the design")
            continue
        for kind, header in INCLUDE.findall(file.read_text()):
            if PYTHON_HEADER.match(header):
                if room not in PYTHON_ROOMS:
                    wrong.append(f"{name}: {header}")
            elif kind == '"':
                target = "include" if header.startswith("genfast/") else header.split("/")[0]
                if target not in below(room) and (room, header) not in EXTRA_FILES:
                    wrong.append(f"{name}: {header}")
    return wrong


def imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Dotted names of all that a module imports at run time; `if TYPE_CHECKING:` blocks are left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: -node.level + 1 or None] if node.level else []
            module = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from (a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str))
        yield from imports(node, package)


def wrong_imports(package: Path) -> list[str]:
    """Every import in the Python package against the rules, as "file: module"."""
    wrong = []
    for file in sorted(package.rglob("*.py")):
        name = file.relative_to(package).as_posix()
        inside = ".".join(["genfast", *Path(name).parent.parts])
        for module in imports(ast.parse(file.read_text()), inside):
            parts = module.split(".")
            if parts[0] == "torch" and not name.startswith(MAY_IMPORT_TORCH):
                wrong.append(f"{name}: {module}")
            if parts[0] == "genfast" and len(parts) > 1 and parts[1] in PYTHON_USERS:
                part = parts[1]
                if not name.startswith((f"{part}/", *PYTHON_USERS[part])):
                    wrong.append(f"{name}: {module}")
    return wrong


def test_cpp_includes_follow_the_arrows() -> None:
    assert wrong_includes(ROOT / "csrc") == []


def test_python_imports_follow_the_rules() -> None:
    assert wrong_imports(ROOT / "genfast") == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("plan/planner.cc", '#include "kernels/kernels.h"'),
        ("kernels/gemm-inl.h", '#include "plan/plan.h"'),
        ("kernels/gemm-inl.h", '#include "graph/graph.h"'),
        ("engine/backend.cc", '#include "cuda/cuda_backend.h"'),
        ("engine/backend.cc", "#include <pybind11/pybind11.h>"),
        ("graph/reader.cc", "  #  include <Python.h>"),
        ("graph/reader.cc", '#include "plan/plan.h"'),
        ("numerics/philox.h", '#include "kernels/simd.h"'),
        ("cuda/cuda_backend.cu", '#include "engine/decoder.h"'),
        ("cuda/block.cuh", '#include "kernels/simd.h"'),
        ("cuda/device.cu", "#include <pybind11/pybind11.h>"),
        ("cuda_bindings/module.cc", '#include "bindings/gil.h"'),
        ("bindings/module.cc", '#include "cuda/device.h"'),
        ("base/errors.h", '#include "genfast/genfast.h"'),
        ("cellar/new.cc", "#include <vector>"),
    ],
)
def test_a_planted_include_is_found(tmp_path: Path, file: str, line: str) -> None:
    (tmp_path / file).parent.mkdir()
    (tmp_path / file).write_text(f'#include <vector>\n#include "base/errors.h"\n{line}\n')
    assert len(wrong_includes(tmp_path)) == 1


def test_allowed_includes_are_let_through(tmp_path: Path) -> None:
    allowed = {
        "engine/a.cc": ["plan/plan.h", "graph/graph.h", "numerics/philox.h", "genfast/genfast.h", "base/errors.h"],
        "bindings/b.cc": ["engine/backend.h", "graph/reader.h", "pybind11/pybind11.h"],
        "cuda/c.cu": ["engine/backend.h", "plan/plan.h", "numerics/philox.h"],
        "cuda_bindings/d.cc": ["cuda/c.h", "engine/backend.h", "bindings/translate.h", "pybind11/pybind11.h"],
    }
    for name, headers in allowed.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("".join(f'#include "{header}"\n' for header in headers))
    assert wrong_includes(tmp_path) == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("model.py", "import torch"),
        ("model.py", "def f():\n    from torch import nn"),
        ("heads.py", "import torch.nn.functional as F"),
        ("cli/train_command.py", "import importlib\nimportlib.import_module('torch')"),
        ("heads.py", "from genfast.export import trace"),
        ("model.py", "from genfast import zoo"),
        ("zoo/train.py", "from genfast.cli import images"),
        ("model.py", "from genfast import _cuda"),
        ("export/trace.py", "from ..zoo import gated"),
    ],
)
def test_a_planted_import_is_found(tmp_path: Path, file: str, line: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(f"import sys\nimport numpy as np\n{line}\n")
    assert len(wrong_imports(tmp_path)) == 1


def test_allowed_imports_are_let_through(tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "trace.py").write_text(
        "import torch\nfrom . import file\nfrom genfast.export import lower\n"
    )
    (tmp_path / "model.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\n"
        "def compile():\n    from genfast.export import export\n"
    )
    assert wrong_imports(tmp_path) == []
