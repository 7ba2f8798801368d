"""The comparison page: it is made, it says what was measured, and what was measured is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("PIL")

from genfast.zoo import comparison


def run(*arguments: str) -> int:
    return comparison.main(["--quick", "--no-times", *arguments])


def test_the_page_is_made_and_measurements_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path)
    assert run("-o", out, "--only", "digits-independent", "digits-gan", "digits-classifier-ascent") == 0
    page = (tmp_path / "comparison.md").read_text()
    found = json.loads((tmp_path / "comparison.json").read_text())
    gan = found["generators"]["digits-gan"]
    assert f"| {gan['frechet'][0]:.2f} ± {gan['frechet'][1]:.2f} |" in page
    assert all((tmp_path / line.split("(")[1].split(")")[0]).is_file() for line in page.splitlines() if "![" in line)
    # What the page is for: the ascent's images are far from data, and nobody but the classifier believes them.
    assert found["generators"]["digits-classifier-ascent"]["nearest"][2] > 2 * gan["nearest"][2]
    fooled = found["fooling"]["images"]["after the ascent"]
    assert fooled["attacked"]["least"] > 0.99
    assert fooled["judge"]["confidence"] < 0.6
    capsys.readouterr()
    assert run("-o", out, "--only", "digits-gan") == 0
    assert "digits-gan: kept" in capsys.readouterr().out


def test_wrong_names_and_files_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("-o", str(tmp_path), "--only", "digits-vqvae") == 1
    assert "no bundled generator digits-vqvae; there are digits-independent" in capsys.readouterr().out
    (tmp_path / "comparison.json").write_text("[]")
    assert run("-o", str(tmp_path), "--only", "digits-gan") == 1
    assert "comparison.json: not a file of this command" in capsys.readouterr().out
