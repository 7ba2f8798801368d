"""The tutorial runs, and what docs/course.md says of it is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

for needed in ("torch", "sklearn", "matplotlib"):
    pytest.importorskip(needed)

ROOT = Path(__file__).parents[1]


def test_the_course_runs(tmp_path: Path) -> None:
    script = ROOT / "examples" / "course.py"
    done = subprocess.run(
        [sys.executable, "-P", str(script), "--quick", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert [int(n) for n in re.findall(r"^=== (\d)\.", done.stdout, re.M)] == list(range(1, 10))
    same = re.search(r"([\d.]+)% of the pixels are the same", done.stdout)
    assert same
    assert float(same[1]) > 99  # float rounding may put a uniform on the other side of a level's edge
    sure = re.search(r"sure of all ten: ([\d.]+)%", done.stdout)
    assert sure
    assert float(sure[1]) > 99
    page = (ROOT / "docs" / "course.md").read_text("utf-8")
    shown = set(re.findall(r"images/course/([\w-]+\.png)", page))
    assert {path.name for path in tmp_path.glob("*.png")} == shown
    assert all((ROOT / "docs" / "images" / "course" / name).is_file() for name in shown)
