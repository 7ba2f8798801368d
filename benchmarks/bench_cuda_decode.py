"""Models on a GPU against PyTorch: whole batches, results left on the GPU, CUDA events, warmed, medians.

    python benchmarks/bench_cuda_decode.py --json benchmarks/results/cuda_decode.json

PixelCNNs of 28×28 pixels and 256 levels, as in bench_decode.py: "forward" is one teacher-forced pass of the batch,
"naive" is 784 of them with a draw after each (timed in full at batch 1, elsewhere forward × 784 and marked so),
"graph" the same with a pass captured once and replayed, "compiled" with torch.compile. GPT-2 small, 256 new tokens:
Hugging Face with a static cache and a captured step. genfast gives tensors; "genfast f32, graph" is the same call
captured and replayed. Beside its times stand their two floors, of operations and of bytes, as shares: multiply-adds of
the plan against the peak measured by a matrix product, and what must be read once a step against the measured
bandwidth.

On a machine without a GPU it says so and exits with status 2; `--list` prints the cases there too.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from typing import Any

from on_gpu import arguments, bandwidth, captured, save

MODELS = {"64x8": (64, 8), "128x15": (128, 15)}
BATCHES = (1, 64, 1024, 8192)
SITES, TOKENS = 784, 256
PRECISIONS = ("f32", "fast")


def cases() -> Iterator[dict[str, Any]]:
    for name in MODELS:
        for batch in BATCHES:
            yield {"model": name, "batch": batch}
    for batch in (1, 64):
        yield {"model": "gpt2", "batch": batch}


def title(case: dict[str, Any]) -> str:
    return f"{case['model']}, batch {case['batch']}"


def times(call: Callable[[], Any], runs: int, warm: int = 3) -> list[float]:
    """Seconds of each run between two events, after some that are not counted. Runs begin on an idle GPU."""
    import torch

    for _ in range(warm):
        call()
    found = []
    for _ in range(runs):
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        before.record()
        call()
        after.record()
        torch.cuda.synchronize()
        found.append(1e-3 * before.elapsed_time(after))
    return found


def genfast_rows(
    case: dict[str, Any],
    model: Any,
    call: Callable[[Any], Any],
    runs: int,
    work: float,
    weights: int,
    limits: dict[str, float],
) -> Iterator[dict[str, Any]]:
    """Both precisions, as calls and as graphs. work: multiply-adds of a call; weights: how many it must read."""
    for precision in PRECISIONS:
        there = model.to("cuda", precision=precision, arrays="torch")
        calls = {f"genfast {precision}": lambda m=there: call(m)}
        calls[f"genfast {precision}, graph"] = captured(calls[f"genfast {precision}"])
        for side, run in calls.items():
            seconds = times(run, runs)
            moved = weights * (4 if precision == "f32" else 2)
            floors = shares(work, moved, statistics.median(seconds), limits[precision], limits["bandwidth"])
            yield row(case, side, seconds, **floors)


def multiply_adds(model: Any) -> float:
    """Of one sample, as `Model.explain` says."""
    line = next(line for line in model.explain().splitlines() if line.startswith("work"))
    number, unit = line.split()[1:3]
    return float(number) * {"k": 1e3, "M": 1e6, "G": 1e9}.get(unit, 1.0)


def row(case: dict[str, Any], side: str, seconds: list[float], **more: Any) -> dict[str, Any]:
    return {
        **case,
        "side": side,
        "median_ms": 1e3 * statistics.median(seconds),
        "least_ms": 1e3 * min(seconds),
        "most_ms": 1e3 * max(seconds),
        "runs": len(seconds),
        **more,
    }


def shares(work: float, moved: int, seconds: float, peak: float, bandwidth: float) -> dict[str, float]:
    """The two floors as parts of the time taken. work: multiply-adds; moved: bytes; peak: FLOP/s."""
    return {"of_operations": 2 * work / peak / seconds, "of_bytes": moved / bandwidth / seconds}


def table(rows: list[dict[str, Any]]) -> str:
    lines = []
    for name in dict.fromkeys(title(r) for r in rows):
        lines.append(name)
        for r in (r for r in rows if title(r) == name):
            floors = "".join(
                f"  {100 * r[key]:5.1f} % of the floor of {key.removeprefix('of_')}"
                for key in ("of_operations", "of_bytes")
                if key in r
            )
            note = f"  ({r['note']})" if "note" in r else ""
            lines.append(f"  {r['side']:<22} {r['median_ms']:>12.3f} ms{floors}{note}")
    return "\n".join(lines)


def peak(dtype: str) -> float:
    """FLOP/s of a matrix product of that dtype, 8192 a side, without TF32."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    a = torch.randn(8192, 8192, device="cuda", dtype=getattr(torch, dtype))
    return 2 * 8192**3 / statistics.median(times(lambda: a @ a, 10))


def draw_next(logits: Any, u: Any) -> Any:
    """Levels by inverse CDF, as a sampler built on the network would."""
    import torch

    return torch.searchsorted(torch.softmax(logits.float(), -1).cumsum(-1), u).clamp_(max=logits.shape[-1] - 1)


def pixelcnn(case: dict[str, Any], runs: int, limits: dict[str, float]) -> Iterator[dict[str, Any]]:
    import torch

    import genfast as gf
    from genfast.zoo.pixelcnn import PixelCNN

    torch.manual_seed(0)
    channels, blocks = MODELS[case["model"]]
    network = PixelCNN(256, channels, blocks).eval()
    model = gf.compile(network, torch.zeros(1, 1, 28, 28), head=gf.heads.Categorical(256), name=case["model"])
    batch, work = case["batch"], multiply_adds(model) * case["batch"]
    weights = sum(p.numel() for p in network.parameters())
    yield from genfast_rows(case, model, lambda m: m.sample(batch, rng=0), runs, work, weights, limits)

    for dtype in ("float32", "bfloat16"):
        there = network.to("cuda", getattr(torch, dtype))
        x = torch.rand(batch, 1, 28, 28, device="cuda", dtype=getattr(torch, dtype))
        with torch.inference_mode():
            forward = times(lambda net=there, x=x: net(x), runs)
            yield row(case, f"forward {dtype}", forward)
            compiled = torch.compile(there)
            yield row(case, f"forward {dtype}, compiled", times(lambda net=compiled, x=x: net(x), runs))
            if batch > 1:
                estimate = [SITES * s for s in forward]
                yield row(case, f"naive {dtype}", estimate, note="forward x 784")
                continue
            yield row(case, f"naive {dtype}", times(lambda net=there, x=x: sample_naively(net, x), 3, 1))
            replay = captured(lambda net=there, x=x: net(x))
            yield row(case, f"naive {dtype}, graph", times(lambda r=replay, x=x: sample_with(r, x), 3, 1))
    network.float()


def sample_naively(network: Any, x: Any) -> None:
    sample_with(lambda: network(x), x)


def sample_with(forward: Callable[[], Any], x: Any) -> None:
    """784 passes that read x, which is filled on the way."""
    import torch

    u = torch.rand(len(x), SITES, 1, device=x.device)
    for site in range(SITES):
        logits = forward()[:, :, site // 28, site % 28]
        x[:, 0, site // 28, site % 28] = (draw_next(logits, u[:, site])[:, 0] / 255).to(x.dtype)


def gpt2(case: dict[str, Any], runs: int, limits: dict[str, float]) -> Iterator[dict[str, Any]]:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, StaticCache

    import genfast as gf

    torch.manual_seed(0)
    network = GPT2LMHeadModel(GPT2Config(n_positions=512)).eval()
    example = torch.zeros(1, 512, dtype=torch.long)
    model = gf.compile(network, example, head=gf.heads.Categorical(50257), name="gpt2-small")
    batch, weights = case["batch"], sum(p.numel() for p in network.parameters())
    work = multiply_adds(model) * batch * TOKENS / 512

    def draw(there: Any) -> Any:
        return there.sample(batch, rng=0, max_tokens=TOKENS)

    yield from genfast_rows(case, model, draw, runs, work, TOKENS * weights, limits)

    for dtype in (torch.float32, torch.bfloat16):
        there = network.to("cuda", dtype)
        cache = StaticCache(config=there.config, max_cache_len=TOKENS + 1)
        token = torch.zeros(batch, 1, dtype=torch.long, device="cuda")
        position = torch.zeros(1, dtype=torch.long, device="cuda")
        u = torch.rand(batch, TOKENS, 1, device="cuda")
        with torch.inference_mode():
            step = captured(
                lambda net=there, t=token, c=cache, p=position: net(t, past_key_values=c, cache_position=p).logits[
                    :, -1
                ]
            )

            def generate(step: Any = step, token: Any = token, position: Any = position, u: Any = u) -> None:
                for at in range(TOKENS):
                    position.fill_(at)
                    token.copy_(draw_next(step(), u[:, at]))

            yield row(case, f"Hugging Face {dtype}, graph".replace("torch.", ""), times(generate, runs))


def main() -> None:
    given = arguments(__doc__.split("\n\n")[0], list(cases()), title, runs=10)
    speed = bandwidth(lambda call: statistics.median(times(call, 20)))
    limits = {"f32": peak("float32"), "fast": peak("bfloat16"), "bandwidth": speed}
    rows = []
    for case in given.chosen:
        for found in (gpt2 if case["model"] == "gpt2" else pixelcnn)(case, given.runs, limits):
            rows.append(found)
            print(table([found]), flush=True)
    save(given.json, rows, limits=limits)


if __name__ == "__main__":
    main()
