"""docs/accuracy.json, the accuracy contract, against mpmath: see accuracy.py for what is measured."""

from __future__ import annotations

import json
import re

import mpmath
import numpy as np
import pytest
from accuracy import CONTRACT, DIGITS, TABLE, Case, all_cases, measure, measure_f64

import genfast as gf

PROMISED = json.loads(CONTRACT.read_text())
BY_NAME: dict[str, list[Case]] = {}
for case in all_cases():
    BY_NAME.setdefault(case.name, []).append(case)


def test_every_family_is_in_the_contract() -> None:
    families = {n for n in gf.distributions.__all__ if getattr(getattr(gf.distributions, n), "parameters", None)}
    exact = {"Bernoulli", "DiscreteUniform"}  # compared exactly in test_discrete.py
    assert families - exact == set(PROMISED) == set(BY_NAME)


@pytest.mark.parametrize("name", BY_NAME)
def test_the_contract_holds(name: str) -> None:
    measured = measure(BY_NAME[name])[name]
    for dtype, errors in measured.items():
        for kind, worst in errors.items():
            assert worst <= PROMISED[name][dtype][kind], (dtype, kind)


def test_the_normal_keeps_four_ulp() -> None:
    assert PROMISED["Normal"]["float64"]["x"] <= 4 * 2.0**-52
    assert PROMISED["Normal"]["float32"]["x"] <= 4 * 2.0**-23


def test_the_documentation_has_the_contract() -> None:
    rows = dict(re.findall(r"^\| `(\w+)\(.*\|([^|]*\|[^|]*\|[^|]*)\|$", TABLE.read_text(), re.MULTILINE))
    for name, promised in PROMISED.items():
        stated = [float(cell) for cell in rows[name].split("|")]
        assert stated == [promised["float64"]["x"], promised["float64"]["u"], promised["float32"]["x"]], name


def test_a_planted_error_is_found() -> None:
    """A Normal whose quantiles are off by 1e-14 breaks the contract."""

    class Off(gf.Normal):
        def icdf(self, u, **options):
            return np.asarray(super().icdf(u, **options)) * (1 + 1e-14)

    normal = BY_NAME["Normal"][0]
    with mpmath.workdps(DIGITS):
        worst = measure_f64(Case(Off(), normal.cdf, normal.ccdf, normal.density))
    assert worst.x > PROMISED["Normal"]["float64"]["x"]
