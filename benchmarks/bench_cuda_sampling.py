"""Sampling on a GPU against PyTorch and, where it is installed, FlashInfer: CUDA events, warmed, medians.

    python benchmarks/bench_cuda_sampling.py --json benchmarks/results/cuda_sampling.json

Categorical draws from logits: "searchsorted" is softmax, cumsum, rand and searchsorted; "multinomial" is softmax and
torch.multinomial; "flashinfer" is softmax and its sampling_from_probs, or its sampling with filters. Each call is a
whole one, from Python, with its outputs allocated; "graph" is the same call captured and replayed, which is the
device's time alone. `read` is the share of the memory bandwidth that moving what must be moved once takes in that time;
the bandwidth is measured by copying 1 GiB.

On a machine without a GPU it says so and exits with status 2; `--list` prints the cases there too.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from typing import Any

from on_gpu import arguments, bandwidth, captured, save

SHAPES = [(4096, 256), (1024, 1024), (256, 32_768), (256, 131_072), (64, 131_072), (1, 131_072), (1, 50_257)]
DTYPES = ["float32", "bfloat16"]
FILTERS: list[dict[str, Any]] = [{"top_k": 50}, {"top_p": 0.95}, {"min_p": 0.05}, {"top_k": 50, "top_p": 0.9}]
FAMILIES = ["Normal", "Exponential", "Gamma", "Beta", "Poisson"]
ELEMENTS = 1 << 24


def cases() -> Iterator[dict[str, Any]]:
    """What is measured, without the contenders."""
    for rows, columns in SHAPES:
        for dtype in DTYPES:
            yield {"what": "categorical", "rows": rows, "columns": columns, "dtype": dtype, "filters": {}}
    for filters in FILTERS:
        yield {"what": "categorical", "rows": 64, "columns": 131_072, "dtype": "float32", "filters": filters}
    for family in FAMILIES:
        for dtype in ("float32", "float64"):
            yield {"what": "elementwise", "family": family, "elements": ELEMENTS, "dtype": dtype}


def title(case: dict[str, Any]) -> str:
    if case["what"] == "elementwise":
        return f"{case['family']}.icdf of {case['elements']} {case['dtype']}"
    named = "".join(f", {name} {value}" for name, value in case["filters"].items())
    return f"{case['rows']} rows of {case['columns']} {case['dtype']}{named}"


def bytes_of(case: dict[str, Any]) -> int:
    """What must be moved: logits read once and levels written, or u read and x written."""
    size = {"float64": 8, "float32": 4, "bfloat16": 2}[case["dtype"]]
    if case["what"] == "elementwise":
        return 2 * case["elements"] * size
    return case["rows"] * (case["columns"] * size + 8)


def summary(case: dict[str, Any], side: str, milliseconds: list[float], bandwidth: float) -> dict[str, Any]:
    """One row of the result. bandwidth: bytes a second."""
    median = statistics.median(milliseconds)
    return {
        **case,
        "side": side,
        "median_us": 1e3 * median,
        "least_us": 1e3 * min(milliseconds),
        "most_us": 1e3 * max(milliseconds),
        "runs": len(milliseconds),
        "read": bytes_of(case) / (1e-3 * median) / bandwidth,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows under the titles of their cases, fastest first."""
    lines = []
    by_title: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_title.setdefault(title(row), []).append(row)
    for name, group in by_title.items():
        lines.append(name)
        for row in sorted(group, key=lambda row: row["median_us"]):
            lines.append(f"  {row['side']:<22} {row['median_us']:>10.1f} us {100 * row['read']:>6.1f} % of bandwidth")
    return "\n".join(lines)


def contenders(case: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """The calls to time. Runs on a GPU only."""
    import torch

    import genfast as gf

    dtype = getattr(torch, case["dtype"])
    if case["what"] == "elementwise":
        u = torch.rand(case["elements"], device="cuda", dtype=dtype)
        d = {
            "Normal": gf.Normal(0, 1),
            "Exponential": gf.Exponential(1),
            "Gamma": gf.Gamma(2.5, 1),
            "Beta": gf.Beta(2, 3),
            "Poisson": gf.Poisson(30),
        }[case["family"]]
        found: dict[str, Callable[[], Any]] = {"genfast": lambda: d.icdf(u)}
        if case["family"] == "Normal":
            found["torch.special.ndtri"] = lambda: torch.special.ndtri(u)
        return found
    generator = torch.Generator("cuda").manual_seed(0)
    z = (2 * torch.randn(case["rows"], case["columns"], device="cuda", generator=generator)).to(dtype)
    filters = case["filters"]
    d = gf.Categorical(z, **filters)
    found = {"genfast": lambda: d.sample(rng=0)}
    if not filters:
        found["searchsorted"] = lambda: torch.searchsorted(
            torch.softmax(z.float(), -1).cumsum(-1), torch.rand(len(z), 1, device="cuda")
        )
        found["multinomial"] = lambda: torch.multinomial(torch.softmax(z.float(), -1), 1)
    elif set(filters) == {"top_k"}:

        def top_k() -> Any:
            value, index = torch.topk(z, filters["top_k"])
            return index.gather(-1, torch.multinomial(torch.softmax(value.float(), -1), 1))

        found["torch.topk, multinomial"] = top_k
    try:
        from flashinfer import sampling
    except ImportError:
        return found
    if not filters:
        found["flashinfer"] = lambda: sampling.sampling_from_probs(torch.softmax(z.float(), -1))
    elif set(filters) == {"top_k", "top_p"}:
        found["flashinfer"] = lambda: sampling.top_k_top_p_sampling_from_logits(z, filters["top_k"], filters["top_p"])
    elif set(filters) == {"top_p"}:
        found["flashinfer"] = lambda: sampling.top_p_sampling_from_probs(torch.softmax(z, -1), filters["top_p"])
    elif set(filters) == {"top_k"}:
        found["flashinfer"] = lambda: sampling.top_k_sampling_from_probs(torch.softmax(z, -1), filters["top_k"])
    elif set(filters) == {"min_p"}:
        found["flashinfer"] = lambda: sampling.min_p_sampling_from_probs(torch.softmax(z, -1), filters["min_p"])
    return found


def times(call: Callable[[], Any], runs: int) -> list[float]:
    """Milliseconds of each run between two events, after some that are not counted."""
    import torch

    for _ in range(5):
        call()
    events = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(runs)]
    torch.cuda.synchronize()
    for before, after in events:
        before.record()
        call()
        after.record()
    torch.cuda.synchronize()
    return [before.elapsed_time(after) for before, after in events]


def main() -> None:
    given = arguments(__doc__.split("\n\n")[0], list(cases()), title, runs=100)
    speed = bandwidth(lambda call: 1e-3 * statistics.median(times(call, 20)))
    rows = []
    for case in given.chosen:
        for side, call in contenders(case).items():
            rows.append(summary(case, side, times(call, given.runs), speed))
            if side == "genfast":
                rows.append(summary(case, "genfast, graph", times(captured(call), given.runs), speed))
        print(table([row for row in rows if title(row) == title(case)]), flush=True)
    save(given.json, rows, bandwidth=speed)


if __name__ == "__main__":
    main()
