"""Every public name says what it is, and what its examples print is what they say."""

from __future__ import annotations

import doctest
import inspect
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
import torch

import genfast as gf

CLASSES = [name for name in gf.__all__ if inspect.isclass(getattr(gf, name))]


@pytest.mark.parametrize("name", [name for name in gf.__all__ if callable(getattr(gf, name))])
def test_examples(name: str) -> None:
    globs = {"gf": gf, "np": np, "scipy": scipy, "torch": torch}
    runner = doctest.DocTestRunner()
    for test in doctest.DocTestFinder(recurse=False).find(getattr(gf, name), name, globs=globs):
        runner.run(test)
    assert not runner.failures


@pytest.mark.parametrize("name", CLASSES)
def test_everything_public_is_documented(name: str) -> None:
    members = inspect.getmembers(getattr(gf, name), lambda m: inspect.isfunction(m) or isinstance(m, property))
    assert inspect.getdoc(getattr(gf, name))
    assert not [member for member, value in members if not member.startswith("_") and not inspect.getdoc(value)]


def test_the_package_lists_every_public_name() -> None:
    assert gf.__doc__ is not None
    listed = set(gf.__doc__.replace(",", " ").replace(";", " ").replace(":", " ").replace("`", " ").split())
    assert set(gf.__all__) <= listed
    assert set(gf.__all__) <= set(dir(gf))
    with pytest.raises(AttributeError, match="module 'genfast' has no attribute 'Normals'"):
        _ = gf.Normals  # type: ignore[attr-defined]


def test_what_few_need_is_not_imported() -> None:
    code = (
        "import sys, genfast as gf;"
        "lazy = ['genfast.joints', 'genfast.distributions.numerical_inverse', 'numpy.random'];"
        "print([name in sys.modules for name in lazy]); gf.Chain, gf.NumericalInverse, gf.Philox;"
        "print([name in sys.modules for name in lazy])"
    )
    run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split("\n")[:2] == ["[False, False, False]", "[True, True, True]"]
