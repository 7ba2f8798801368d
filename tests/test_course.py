"""The tutorial runs, and what docs/course.md says of it is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
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

    def printed(pattern: str) -> list[float]:
        return [float(number) for number in re.findall(pattern, done.stdout)]

    (same,) = printed(r"([\d.]+)% of the pixels are the same")
    assert same > 99  # float rounding may put a uniform on the other side of a level's edge
    independent, *networks = printed(r"(?m)^  (?:independent pixels|PixelCNN|Gated PixelCNN|ImageGPT) +([\d.]+)$")
    assert len(networks) == 3 and max(networks) < independent < np.log2(17)
    normal, fitted, vae = printed(r"codes from .*: a classifier sees the wanted digit in (\d+)%")
    assert normal < 60 and min(fitted, vae) > 90
    (sure,) = printed(r"sure of all 100 images: ([\d.]+)%")
    (second,) = printed(r"agrees with (\d+)%")
    assert sure > 99 and second < 60
    (climbed,) = printed(r"a density model: ([\d.]+) bits")
    (gan,) = printed(r"the density model: ([\d.]+) bits")
    assert gan < np.log2(17) < climbed
    real, both = np.array(re.findall(r"(?m)^ +\d+: ([\d.]+)% alone, ([\d.]+)% with", done.stdout), float).T
    assert both[0] > real[0] + 10 and both[-1] < real[-1] + 0.5  # they help few real images, and many not at all
    page = (ROOT / "docs" / "course.md").read_text("utf-8")
    shown = set(re.findall(r"images/course/([\w-]+\.png)", page))
    assert {path.name for path in tmp_path.glob("*.png")} == shown
    assert all((ROOT / "docs" / "images" / "course" / name).is_file() for name in shown)
