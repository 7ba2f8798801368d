"""How far from the truth the distributions are: the measurement behind docs/accuracy.json.

    python tests/accuracy.py             prints the table
    python tests/accuracy.py --write     writes docs/accuracy.json and the table in docs/distributions.md: what is
                                         measured, times the margin below

The truth is mpmath at 40 digits. For every distribution, u (and the upper tail's q) runs over a grid from 1e-300 to
1 - 1e-16, and x = icdf(u) is put back into the exact F. Reported per dtype, as worst cases over grid and parameters:

    x    |x - F^-1(u)| / |x|, to first order |F(x) - u| / (|x| f(x)); for discrete distributions instead the largest
         relative move of u that makes k the exact answer (0: always exact)
    u    |F(x) - u| / min(u, 1 - u) beyond what half an ulp of x explains
    cdf  |cdf(x) - F(x)| / F(x) and the same of ccdf, beyond what half an ulp of x explains
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
from mpmath import mp, mpf

import genfast as gf

CONTRACT = Path(__file__).parent.parent / "docs" / "accuracy.json"
TABLE = CONTRACT.with_name("distributions.md")
MARGIN = 1.5  # contract / measured: other CPUs round alike, other grids may be a little worse
FLOOR = {"float64": 2.0**-52, "float32": 2.0**-23}  # no contract promises less than one ulp
DIGITS = 40

TAIL = [10.0**-k for k in (300, 250, 200, 150, 100, 60, 30, 20, 16, 12, 9, 7, 5, 4, 3)]
CENTRE = [0.002, 0.01, 0.03, 0.07, 0.15, 0.25, 0.35, 0.45, 0.499, 0.5]
LOWER = np.array(TAIL + CENTRE)
NEAR_ONE = np.array(
    [0.501, 0.6, 0.7, 0.85, 0.95, 0.99, 0.999, 1 - 1e-6, 1 - 1e-9, 1 - 1e-12, 1 - 2.0**-50, 1 - 2.0**-53]
)

Exact = Callable[[mpf], Any]


@dataclass
class Case:
    """A distribution and its exact functions: cdf, ccdf and density (or mass) of an mpf."""

    distribution: Any
    cdf: Exact
    ccdf: Exact
    density: Exact

    @property
    def name(self) -> str:
        return type(self.distribution).__name__

    def holds(self, is_upper: bool, p: mpf, value: float) -> bool:
        """Whether the exact quantile lies within one float of `value`: for the ends, where the density is 0 or inf."""
        low, high = (float(end) for end in self.distribution.support)
        before, after = (float(np.nextafter(value, end)) for end in (-np.inf, np.inf))
        f = self.ccdf if is_upper else self.cdf
        first = (mpf(1) if is_upper else mpf(0)) if before <= low else f(mpf(before))
        last = (mpf(0) if is_upper else mpf(1)) if after >= high else f(mpf(after))
        return min(first, last) <= p <= max(first, last)


def phi(z: Any) -> Any:
    return mp.exp(-z * z / 2) / mp.sqrt(2 * mp.pi)


def upper(z: Any) -> Any:
    return mp.erfc(z / mp.sqrt(2)) / 2


def gamma_case(d: Any, shape: float, of: Exact, jacobian: Exact, flip: bool = False) -> Case:
    """x ↦ of(x) is Gamma(shape, 1); `flip` where it decreases."""
    a = mpf(shape)

    def low(x: Any) -> Any:
        return mp.gammainc(a, 0, of(x), regularized=True) if of(x) > 0 else mpf(0)

    def high(x: Any) -> Any:
        return mp.gammainc(a, of(x), mp.inf, regularized=True) if of(x) > 0 else mpf(1)

    def density(x: Any) -> Any:
        t = of(x)
        return mp.exp((a - 1) * mp.log(t) - t - mp.loggamma(a)) * jacobian(x) if t > 0 else mpf(0)

    return Case(d, high, low, density) if flip else Case(d, low, high, density)


def beta_parts(a: Any, b: Any, t: Any, s: Any) -> tuple[Any, Any, Any]:
    """I_t(a, b), its complement and the density at t, with s = 1 - t given exactly."""
    low = mp.betainc(a, b, 0, t, regularized=True)
    if low < 0.5:
        high = 1 - low
    else:
        high = mp.betainc(b, a, 0, s, regularized=True)
        low = 1 - high
    density = mp.exp((a - 1) * mp.log(t) + (b - 1) * mp.log(s) - mp.log(mp.beta(a, b))) if t > 0 and s > 0 else mpf(0)
    return low, high, density


def beta_case(d: Any, a: float, b: float, of: Callable[[mpf], tuple[Any, Any]], jacobian: Exact) -> Case:
    a_, b_ = mpf(a), mpf(b)
    return Case(
        d,
        lambda x: beta_parts(a_, b_, *of(x))[0],
        lambda x: beta_parts(a_, b_, *of(x))[1],
        lambda x: beta_parts(a_, b_, *of(x))[2] * jacobian(x),
    )


def student_case(d: Any, df: float) -> Case:
    v = mpf(df)

    def tail(x: Any) -> Any:  # P(T > |x|)
        return mp.betainc(v / 2, mpf(1) / 2, 0, v / (v + x * x), regularized=True) / 2

    def density(x: Any) -> Any:
        return mp.exp(-(v + 1) / 2 * mp.log1p(x * x / v)) / (mp.sqrt(v) * mp.beta(v / 2, mpf(1) / 2))

    return Case(d, lambda x: tail(x) if x < 0 else 1 - tail(x), lambda x: tail(x) if x > 0 else 1 - tail(x), density)


def triangular_case(low: float, mode: float, high: float) -> Case:
    a, c, b = mpf(low), mpf(mode), mpf(high)
    w, left, right = b - a, (b - a) * (c - a), (b - a) * (b - c)
    return Case(
        gf.Triangular(low, mode, high),
        lambda x: (x - a) ** 2 / left if x < c else (c - a) / w + (x - c) * (2 * (b - c) - (x - c)) / right,
        lambda x: (b - x) ** 2 / right if x >= c else (b - c) / w + (c - x) * (2 * (c - a) - (c - x)) / left,
        lambda x: 2 * (x - a) / left if x < c else 2 * (b - x) / right,
    )


def von_mises_case(k: float) -> Case:
    kappa = mpf(k)
    scale = 2 * mp.pi * mp.besseli(0, kappa)

    def density(x: Any) -> Any:
        return mp.exp(kappa * mp.cos(x)) / scale

    def low(x: Any) -> Any:
        return mp.quad(density, [-mp.pi, (x - mp.pi) / 2, x]) if x > -mp.pi else mpf(0)

    def high(x: Any) -> Any:
        return mp.quad(density, [x, (x + mp.pi) / 2, mp.pi]) if x < mp.pi else mpf(0)

    return Case(gf.VonMises(0.0, k), low, high, density)


def closed_cases() -> list[Case]:
    """The families with a closed distribution function."""
    exp, log, e1 = mp.exp, mp.log, mp.expm1
    cases = [
        Case(gf.Uniform(-1.0, 3.0), lambda x: (x + 1) / 4, lambda x: (3 - x) / 4, lambda x: mpf(1) / 4),
        Case(gf.Normal(0.0, 1.0), lambda x: upper(-x), upper, phi),
        Case(
            gf.LogNormal(0.25, 1.5),
            lambda x: upper(-(log(x) - mpf("0.25")) / mpf("1.5")),
            lambda x: upper((log(x) - mpf("0.25")) / mpf("1.5")),
            lambda x: phi((log(x) - mpf("0.25")) / mpf("1.5")) / (x * mpf("1.5")),
        ),
        Case(
            gf.HalfNormal(2.0), lambda x: mp.erf(x / 2 / mp.sqrt(2)), lambda x: 2 * upper(x / 2), lambda x: phi(x / 2)
        ),
        Case(gf.Exponential(0.5), lambda x: -e1(-2 * x), lambda x: exp(-2 * x), lambda x: 2 * exp(-2 * x)),
        Case(
            gf.Laplace(0.0, 2.0),
            lambda x: exp(x / 2) / 2 if x < 0 else 1 - exp(-x / 2) / 2,
            lambda x: exp(-x / 2) / 2 if x > 0 else 1 - exp(x / 2) / 2,
            lambda x: exp(-abs(x) / 2) / 4,
        ),
        Case(
            gf.Logistic(0.0, 1.0),
            lambda x: 1 / (1 + exp(-x)),
            lambda x: 1 / (1 + exp(x)),
            lambda x: exp(-abs(x)) / (1 + exp(-abs(x))) ** 2,
        ),
        Case(
            gf.Cauchy(0.0, 1.0),
            lambda x: mp.atan2(1, -x) / mp.pi,
            lambda x: mp.atan2(1, x) / mp.pi,
            lambda x: 1 / (mp.pi * (1 + x * x)),
        ),
        Case(
            gf.Gumbel(0.0, 1.0),
            lambda x: exp(-exp(-x)),
            lambda x: -e1(-exp(-x)),
            lambda x: exp(-x - exp(-x)),
        ),
        Case(
            gf.Rayleigh(3.0),
            lambda x: -e1(-x * x / 18),
            lambda x: exp(-x * x / 18),
            lambda x: x / 9 * exp(-x * x / 18),
        ),
        triangular_case(-1.0, 0.25, 2.0),
        triangular_case(0.0, 0.0, 1.0),
        triangular_case(0.0, 1.0, 1.0),
    ]
    for shape in (0.5, 1.5, 20.0):
        k = mpf(shape)
        cases.append(
            Case(
                gf.Weibull(shape, 2.0),
                lambda x, k=k: -e1(-((x / 2) ** k)),
                lambda x, k=k: exp(-((x / 2) ** k)),
                lambda x, k=k: k / x * (x / 2) ** k * exp(-((x / 2) ** k)),
            )
        )
        cases.append(
            Case(
                gf.Pareto(shape, 2.0),
                lambda x, k=k: -e1(-k * log(x / 2)),
                lambda x, k=k: (2 / x) ** k,
                lambda x, k=k: k / x * (2 / x) ** k,
            )
        )
    for a, b in ((0.5, 0.5), (2.0, 3.0), (8.0, 0.25)):
        p, q = mpf(a), mpf(b)
        cases.append(
            Case(
                gf.Kumaraswamy(a, b),
                lambda x, p=p, q=q: -e1(q * mp.log1p(-(x**p))) if x < 1 else mpf(1),
                lambda x, p=p, q=q: (1 - x**p) ** q,
                lambda x, p=p, q=q: p * q * x ** (p - 1) * (1 - x**p) ** (q - 1),
            )
        )
    return cases


def iterative_cases() -> list[Case]:
    """The families behind incomplete gamma and beta functions."""
    cases = [von_mises_case(k) for k in (0.5, 4.0, 60.0)]
    for a in (0.05, 0.5, 1.0, 3.5, 40.0, 3000.0):
        cases.append(gamma_case(gf.Gamma(a, 2.0), a, lambda x: x / 2, lambda x: mpf(1) / 2))
        cases.append(gamma_case(gf.InverseGamma(a, 2.0), a, lambda x: 2 / x, lambda x: 2 / (x * x), flip=True))
        cases.append(gamma_case(gf.Chi2(2 * a), a, lambda x: x / 2, lambda x: mpf(1) / 2))
    for a, b in ((0.1, 0.2), (0.5, 0.5), (1.0, 3.0), (5.0, 2.0), (30.0, 80.0), (2000.0, 900.0)):
        cases.append(beta_case(gf.Beta(a, b), a, b, lambda x: (x, 1 - x), lambda x: mpf(1)))
        m, n = mpf(2 * a), mpf(2 * b)
        cases.append(
            beta_case(
                gf.F(2 * a, 2 * b),
                a,
                b,
                lambda x, m=m, n=n: (m * x / (m * x + n), n / (m * x + n)),
                lambda x, m=m, n=n: m * n / (m * x + n) ** 2,
            )
        )
    cases += [student_case(gf.StudentT(df), df) for df in (0.3, 1.0, 2.0, 4.5, 30.0, 5000.0)]
    return cases


def discrete_cases() -> list[Case]:
    def floored(f: Exact) -> Exact:
        return lambda k: f(mp.floor(k))

    cases = []
    for rate in (0.01, 0.7, 12.0, 400.0, 30000.0):
        lam = mpf(rate)
        cases.append(
            Case(
                gf.Poisson(rate),
                floored(lambda k, lam=lam: mp.gammainc(k + 1, lam, mp.inf, regularized=True) if k >= 0 else mpf(0)),
                floored(lambda k, lam=lam: mp.gammainc(k + 1, 0, lam, regularized=True) if k >= 0 else mpf(1)),
                lambda k, lam=lam: mp.exp(k * mp.log(lam) - lam - mp.loggamma(k + 1)),
            )
        )

    def binomial(n: int, p: float) -> Case:
        q = mpf(p)
        return Case(
            gf.Binomial(n, p),
            lambda k: mpf(0) if k < 0 else mpf(1) if k >= n else beta_parts(n - k, k + 1, 1 - q, q)[0],
            lambda k: mpf(1) if k < 0 else mpf(0) if k >= n else beta_parts(n - k, k + 1, 1 - q, q)[1],
            lambda k: mp.binomial(n, k) * q**k * (1 - q) ** (n - k),
        )

    def negative_binomial(n: float, p: float) -> Case:
        m, q = mpf(n), mpf(p)
        return Case(
            gf.NegativeBinomial(n, p),
            lambda k: mpf(0) if k < 0 else beta_parts(m, k + 1, q, 1 - q)[0],
            lambda k: mpf(1) if k < 0 else beta_parts(m, k + 1, q, 1 - q)[1],
            lambda k: mp.exp(mp.loggamma(k + m) - mp.loggamma(m) - mp.loggamma(k + 1)) * q**m * (1 - q) ** k,
        )

    def geometric(p: float) -> Case:
        rest = mp.log1p(-mpf(p))
        return Case(
            gf.Geometric(p),
            lambda k: -mp.expm1(k * rest) if k >= 1 else mpf(0),
            lambda k: mp.exp(k * rest) if k >= 1 else mpf(1),
            lambda k: mp.exp((k - 1) * rest) * mpf(p),
        )

    def hypergeometric(good: int, bad: int, draws: int) -> Case:
        low, high = max(0, draws - bad), min(good, draws)
        mass = [mp.binomial(good, k) * mp.binomial(bad, draws - k) for k in range(low, high + 1)]
        total = mp.binomial(good + bad, draws)
        return Case(
            gf.Hypergeometric(good, bad, draws),
            lambda k: sum(mass[: max(0, int(k) - low + 1)], mpf(0)) / total,
            lambda k: sum(mass[max(0, int(k) - low + 1) :], mpf(0)) / total,
            lambda k: mass[int(k) - low] / total,
        )

    cases += [binomial(n, p) for n, p in ((1, 0.3), (20, 0.5), (1000, 0.01), (3000, 0.7))]
    cases += [negative_binomial(n, p) for n, p in ((0.5, 0.1), (3.0, 0.6), (250.0, 0.05))]
    cases += [geometric(p) for p in (0.001, 0.3, 0.95)]
    cases += [hypergeometric(*v) for v in ((20, 30, 10), (500, 40, 100))]
    return cases


@dataclass
class Errors:
    x: float = 0.0
    u: float = 0.0
    cdf: float = 0.0

    def widen(self, other: Errors) -> None:
        self.x, self.u, self.cdf = max(self.x, other.x), max(self.u, other.u), max(self.cdf, other.cdf)


def points() -> list[tuple[bool, np.ndarray]]:
    """(upper tail?, probabilities): the grid of both inverses."""
    return [(False, np.concatenate([LOWER, NEAR_ONE])), (True, LOWER)]


def measure_f64(case: Case) -> Errors:
    """Worst errors of one distribution in float64."""
    worst, d = Errors(), case.distribution
    for is_upper, grid in points():
        x = np.atleast_1d(np.asarray((d.iccdf if is_upper else d.icdf)(grid)))
        back_low, back_high = np.asarray(d.cdf(x)), np.asarray(d.ccdf(x))
        for p, value, low, high in zip(grid, x, back_low, back_high, strict=True):
            worst.widen(point_errors(case, is_upper, mpf(float(p)), float(value), float(low), float(high)))
    return worst


def point_errors(case: Case, is_upper: bool, p: mpf, value: float, low: float, high: float) -> Errors:
    """Errors at one point, where `value` is icdf(p) (iccdf where `is_upper`), `low` its cdf and `high` its ccdf."""
    x = mpf(value)
    tiny = abs(value) < 1e-290 or not np.isfinite(
        value
    )  # next to underflow, or overflow: no relative precision to speak of
    if tiny and not case.distribution.is_discrete:
        return Errors()
    low_end, high_end = (float(end) for end in case.distribution.support)
    if not case.distribution.is_discrete and (value in (low_end, high_end) or case.density(x) == 0):
        return Errors() if case.holds(is_upper, p, value) else Errors(1.0, 1.0, 0.0)
    exact_low, exact_high = case.cdf(x), case.ccdf(x)
    density = mpf(0) if case.distribution.is_discrete else case.density(x)
    slack = abs(x) * mpf(2) ** -53 * density
    cdf = mpf(0)
    for got, want in ((low, exact_low), (high, exact_high)):
        if want > mpf("1e-290"):
            cdf = max(cdf, (abs(got - want) - slack) / want)
    if case.distribution.is_discrete:
        move = discrete_move(case, is_upper, p, value, exact_low, exact_high)
        return Errors(float(move), float(move), float(cdf))
    miss = abs((exact_high if is_upper else exact_low) - p)
    return Errors(float(miss / (abs(x) * density)), float(max(mpf(0), miss - slack) / min(p, 1 - p)), float(cdf))


def discrete_move(case: Case, is_upper: bool, p: mpf, k: float, low: mpf, high: mpf) -> mpf:
    """The relative move of p after which k is exactly "the smallest with F(k) >= u"."""
    before_low, before_high = case.cdf(mpf(k) - 1), case.ccdf(mpf(k) - 1)
    if is_upper:  # u = 1 - p: ccdf(k) <= p < ccdf(k - 1)
        return max(mpf(0), high - p, p - before_high) / p
    return max(mpf(0), p - low, before_low - p) / min(p, 1 - p)


def measure_f32(case: Case) -> Errors:
    """float32 against the float64 results at the same probabilities: worst relative error of x."""
    worst, d = Errors(), case.distribution
    for is_upper, grid in points():
        inverse = d.iccdf if is_upper else d.icdf
        p = np.unique(grid[(grid > 1e-37) & (grid < 1 - 2.0**-24)].astype(np.float32))
        got, want = np.asarray(inverse(p), np.float64), np.asarray(inverse(p.astype(np.float64)))
        assert np.asarray(inverse(p)).dtype == np.float32
        usual = np.isfinite(want) & (np.abs(want) > 1e-36) & (np.abs(want) < 3e38)
        if case.distribution.is_discrete:
            usual = np.isfinite(want) & (np.abs(want) < 2**24) & (want != 0)
        error = np.abs(got[usual] - want[usual]) / np.abs(want[usual])
        worst.x = max(worst.x, float(error.max(initial=0.0)))
    return worst


def measure(cases: list[Case]) -> dict[str, dict[str, dict[str, float]]]:
    """name → dtype → error → worst value over the cases of that name."""
    table: dict[str, dict[str, Errors]] = {}
    with mpmath.workdps(DIGITS):
        for case in cases:
            rows = table.setdefault(case.name, {"float64": Errors(), "float32": Errors()})
            rows["float64"].widen(measure_f64(case))
            rows["float32"].widen(measure_f32(case))
    return {
        name: {
            "float64": {"x": rows["float64"].x, "u": rows["float64"].u, "cdf": rows["float64"].cdf},
            "float32": {"x": rows["float32"].x},
        }
        for name, rows in table.items()
    }


def all_cases() -> list[Case]:
    with mpmath.workdps(DIGITS):
        return closed_cases() + iterative_cases() + discrete_cases()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write {CONTRACT.name}")
    write = parser.parse_args().write
    measured = measure(all_cases())
    for name, rows in measured.items():
        print(
            f"{name:18}", *(f"{k} {v:8.1e}" for k, v in rows["float64"].items()), f"f32 x {rows['float32']['x']:8.1e}"
        )
    if not write:
        return
    contract = {
        name: {
            dtype: {k: float(f"{max(v * MARGIN, FLOOR[dtype]):.1e}") for k, v in errors.items()}
            for dtype, errors in rows.items()
        }
        for name, rows in measured.items()
    }
    CONTRACT.write_text(json.dumps(contract, indent=1) + "\n")
    write_table(contract)


def write_table(contract: dict[str, dict[str, dict[str, float]]]) -> None:
    """The last three columns of the table in docs/distributions.md."""
    lines = TABLE.read_text().splitlines()
    for i, line in enumerate(lines):
        found = re.match(r"\| `(\w+)\(", line)
        if found and found[1] in contract:
            row = contract[found[1]]
            errors = row["float64"]["x"], row["float64"]["u"], row["float32"]["x"]
            lines[i] = "|".join(re.split(r"(?<!\\)\|", line)[:4]) + "".join(f"| {error:.1e} " for error in errors) + "|"
    TABLE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
