"""The incomplete gamma and beta functions at 50 digits: what the tests of the gamma, beta and discrete families hold
genfast to. By series of positive terms and, for large parameters, by quadrature; shares no formula with the kernels.
"""

from __future__ import annotations

import mpmath as mp

mp.mp.dps = 50
ENOUGH = mp.mpf(10) ** -32


def _tail_by_quadrature(log_density, x, step):
    """Integral of exp(log_density) from x away from the mode, in pieces of `step` until nothing is left."""
    total, left, top = mp.mpf(0), x, log_density(x)
    for _ in range(200):
        part = mp.quad(lambda t: mp.exp(log_density(t) - top), [left, left + step])
        total += abs(part)
        if abs(part) < total * ENOUGH:
            break
        left += step
    return total * mp.exp(top)


def gamma_tails(a, x):
    """P(a, x), Q(a, x) and x f(x)."""
    a, x = mp.mpf(a), mp.mpf(x)
    slope = mp.exp(a * mp.log(x) - x - mp.loggamma(a))
    if a > 3000:

        def log_density(t):
            return (a - 1) * mp.log(t) - t - mp.loggamma(a)

        step = mp.sqrt(a) * (2 if x > a else -2)
        tail = _tail_by_quadrature(log_density, x, step)
        return (1 - tail, tail, slope) if x > a else (tail, 1 - tail, slope)
    if x > a + 1:
        # Legendre's fraction, forwards by Lentz.
        b, c = x + 1 - a, mp.mpf(10) ** 60
        d = 1 / b
        h, i = d, 1
        while True:
            an, b = -i * (i - a), b + 2
            d, c = 1 / (an * d + b), b + an / c
            h *= d * c
            if abs(d * c - 1) < ENOUGH:
                return 1 - slope * h, slope * h, slope
            i += 1
    term = total = 1 / a
    k = 1
    while term > total * ENOUGH:
        term *= x / (a + k)
        total += term
        k += 1
    return slope * total, 1 - slope * total, slope


def beta_tails(a, b, x, y=None):
    """I_x(a, b), 1 - I_x(a, b) and x y f(x); y = 1 - x."""
    a, b, x = mp.mpf(a), mp.mpf(b), mp.mpf(x)
    y = 1 - x if y is None else mp.mpf(y)
    slope = mp.exp(a * mp.log(x) + b * mp.log(y) + mp.loggamma(a + b) - mp.loggamma(a) - mp.loggamma(b))
    below = x * (a + b + 2) < a + 1
    if a * b / (a + b) > 3000:

        def log_density(t):
            # In t = log(x / y).
            return (
                -a * mp.log1p(mp.exp(-t))
                - b * mp.log1p(mp.exp(t))
                + mp.loggamma(a + b)
                - mp.loggamma(a)
                - mp.loggamma(b)
            )

        step = 2 * mp.sqrt(1 / a + 1 / b) * (-1 if below else 1)
        tail = _tail_by_quadrature(log_density, mp.log(x / y), step)
        return (tail, 1 - tail, slope) if below else (1 - tail, tail, slope)

    def series(a, b, x):
        term = total = 1 / a
        k = 0
        while term > total * ENOUGH:
            term *= x * (a + b + k) / (a + 1 + k)
            total += term
            k += 1
        return slope * total

    if below:
        lower = series(a, b, x)
        return lower, 1 - lower, slope
    upper = series(b, a, y)
    return 1 - upper, upper, slope


def student_tail(df, t):
    """P(|T| > t) and the density of |T|, t > 0."""
    df, t = mp.mpf(df), mp.mpf(t)
    constant = mp.loggamma((df + 1) / 2) - mp.loggamma(df / 2) - mp.log(df * mp.pi) / 2 + mp.log(2)

    def log_density(t):
        return constant - (df + 1) / 2 * mp.log1p(t * t / df)

    if df > 100:
        return _tail_by_quadrature(log_density, t, 2 + t / 10), mp.exp(log_density(t))
    return beta_tails(df / 2, 0.5, df / (df + t * t), t * t / (df + t * t))[0], mp.exp(log_density(t))
