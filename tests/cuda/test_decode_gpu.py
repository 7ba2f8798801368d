"""Models on a real GPU: the CPU's bits in f32, the same bits again and again, and what the fast mode costs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from families.catalogue import FAMILIES, build  # noqa: E402

import genfast as gf  # noqa: E402

pytestmark = pytest.mark.gpu
N = 300


def condition_of(model: gf.Model, n: int) -> dict[str, Any] | None:
    return {c["name"]: np.arange(n) % c["size"] for c in model.conditions if c["dtype"] == "int"} or None


@pytest.mark.parametrize("name", list(gf.models()))
def test_bundled_models(name: str) -> None:
    model = gf.load(name)
    there, condition = model.to("cuda"), condition_of(model, N)
    if not model._core.has_distribution:
        x = np.random.default_rng(0).random((N, *model.input_shape), np.float32)
        assert there.apply(x, condition=condition).tobytes() == model.apply(x, condition=condition).tobytes()
        return
    n = 8 if model.is_tokens else N
    x = model.sample(n, rng=0, condition=condition_of(model, n))
    assert there.sample(n, rng=0, condition=condition_of(model, n)).tobytes() == x.tobytes()
    if model.output_shape is None:
        condition = condition_of(model, n)
        assert there.log_prob(x, condition=condition).tobytes() == model.log_prob(x, condition=condition).tobytes()


@pytest.mark.parametrize("name", FAMILIES)
def test_families(name: str) -> None:
    family = build(name)
    model = family.compile()
    there = model.to("cuda")
    for rows in (1, 7, 64):
        condition = family.condition(rows) or None
        x = model.sample(rows, rng=1, condition=condition)
        assert there.sample(rows, rng=1, condition=condition).tobytes() == x.tobytes()
        for what in ("log_prob", "logits"):
            found, want = (getattr(m, what)(x, condition=condition) for m in (there, model))
            assert found.tobytes() == want.tobytes(), what


@pytest.mark.parametrize("precision", ["f32", "fast"])
def test_a_thousand_runs(precision: str) -> None:
    model = gf.load("digits").to("cuda", precision=precision)
    want = model.sample(64, rng=0, condition={"label": 3})
    for _ in range(1000):
        assert np.array_equal(model.sample(64, rng=0, condition={"label": 3}), want)


@pytest.mark.parametrize("precision", ["f32", "fast"])
def test_any_batch(precision: str) -> None:
    model = gf.load("digits").to("cuda", precision=precision)
    label = np.arange(1000) % 10
    want = model.sample(1000, rng=5, condition={"label": label})
    for first, rows in [(0, 1), (1, 7), (64, 64), (500, 500)]:
        part = model.sample(rows, rng=5, first_row=first, condition={"label": label[first : first + rows]})
        assert np.array_equal(part, want[first : first + rows])


def test_threads_at_once() -> None:
    model = gf.load("digits").to("cuda")
    want = [model.sample(50, rng=seed, condition={"label": seed}) for seed in range(4)]
    found: list[Any] = [None] * 4

    def draw(seed: int) -> None:
        for _ in range(20):
            found[seed] = model.sample(50, rng=seed, condition={"label": seed})

    threads = [threading.Thread(target=draw, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(a, b) for a, b in zip(found, want, strict=True))


def test_fast_mode_costs_little() -> None:
    """Over 2,000 digits. Levels of another rounding are another draw: compared by what the f32 model says of them."""
    model = gf.load("digits")
    fast, label = model.to("cuda", precision="fast"), np.arange(2000) % 10
    x, y = (m.sample(2000, rng=7, condition={"label": label}) for m in (model, fast))
    a, b = (model.bits_per_dim(z, condition={"label": label}) for z in (x, y))
    error = np.sqrt(a.var() / 2000 + b.var() / 2000)
    # Two-sided, a false alarm in 16,000 runs.
    assert abs(a.mean() - b.mean()) < 4 * error + 0.002
    assert abs(fast.bits_per_dim(x, condition={"label": label}).mean() - a.mean()) < 0.005


def test_errors_name_row_and_site() -> None:
    layer = torch.nn.Linear(4, 4)
    torch.nn.init.ones_(layer.weight)
    model = gf.compile(layer, torch.zeros(1, 4), latent="given").to("cuda")
    with pytest.raises(gf.NumericalError, match=r"row 1, element 0 of the output is not finite"):
        model.apply(np.array([[0] * 4, [3e38] * 4], np.float32))


@pytest.mark.skipif(not os.environ.get("COMPUTE_SANITIZER"), reason="set COMPUTE_SANITIZER to its path")
@pytest.mark.parametrize("tool", ["memcheck", "racecheck"])
def test_sanitizers(tool: str) -> None:
    code = (
        "import genfast as gf; "
        "[m.sample(9, rng=0) for p in ('f32', 'fast') for m in [gf.load('digits-made').to('cuda', precision=p)]]"
    )
    command = [os.environ["COMPUTE_SANITIZER"], "--tool", tool, "--error-exitcode", "9"]
    command += [sys.executable, "-P", "-c", code]
    subprocess.run(command, check=True, capture_output=True, timeout=900)
