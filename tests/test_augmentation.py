"""The experiment on generated training data: nothing leaks, cells are kept, and the page says what was computed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

from genfast.zoo import augmentation, augmentation_report
from genfast.zoo.data import digits


def test_the_generator_sees_the_chosen_images_only() -> None:
    whole, few = digits(), augmentation.choose(digits(), 50, seed=3)
    assert few.train_labels is not None
    assert np.bincount(few.train_labels).tolist() == [5] * 10
    known = {image.tobytes() for image in whole.train}
    assert all(image.tobytes() in known for image in few.train)
    chosen, held_out = ({image.tobytes() for image in images} for images in (few.train, whole.test))
    assert {image.tobytes() for image in few.test} <= chosen
    assert not chosen & held_out
    other = augmentation.choose(digits(), 50, seed=4)
    assert not np.array_equal(other.train, few.train)


def test_a_quick_run_is_kept_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["augmentation", "--quick", "-o", str(tmp_path)])
    augmentation.main()
    told = capsys.readouterr().out
    cells = json.loads((tmp_path / "augmentation.json").read_text())["cells"]
    assert cells.keys() == {"real/100/0", "independent/100/0", "made/100/0"}
    assert f"| **N real images** | {100 * cells['real/100/0']['real']:.1f} |" in told
    assert f"| {100 * cells['made/100/0']['both']:.1f} |" in (tmp_path / "augmentation.md").read_text()
    assert (tmp_path / "images" / "augmentation.png").is_file()
    augmentation.main()
    assert "real/100/0:" not in capsys.readouterr().out  # nothing was computed again
    (tmp_path / "augmentation.json").write_text(json.dumps({"settings": {"steps": 1}, "cells": {}}))
    with pytest.raises(ValueError, match="made with other"):
        augmentation.main()


def test_gains_are_paired_by_seed() -> None:
    cells = {f"real/50/{seed}": {"real": 0.5 + 0.1 * seed} for seed in range(3)}
    cells |= {f"gan/50/{seed}": {"both": 0.6 + 0.1 * seed, "generated": 0.1} for seed in range(3)}
    mean, width = augmentation_report.gain(cells, "gan", 50)
    assert mean == pytest.approx(0.1)
    assert width == pytest.approx(0, abs=1e-12)
    said = augmentation_report.verdicts({"sizes": [50, 100], "generators": ["gan"]}, cells)
    assert len(said) == 1
    assert "Against real images alone: helps gan (+10.0 ± 0.0); hurts none." in said[0]


def test_three_seeds_prove_little() -> None:
    both = [0.51, 0.53, 0.54]
    cells = {f"real/50/{seed}": {"real": 0.5, "half": 0.55 - 0.01 * (seed == 0)} for seed in range(3)}
    cells |= {f"gan/50/{seed}": {"both": both[seed], "generated": 0.1} for seed in range(3)}
    mean, width = augmentation_report.gain(cells, "gan", 50)
    assert width == pytest.approx(
        4.30265 * np.std(both, ddof=1) / 3**0.5, rel=1e-5
    )  # Student's t, 2 degrees of freedom
    assert 0 < mean < width < 2.2 * mean  # more than two standard errors, and not enough
    assert augmentation_report.gain(cells, "gan", 50, "half")[0] == pytest.approx(-0.02)
    said = augmentation_report.signs({"sizes": [50], "generators": ["gan"]}, cells, "real")
    assert "0 are below zero (0 with the whole interval) and 1 above (0 with the whole interval)" in said
