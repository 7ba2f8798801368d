"""The ratio table and plot of bench_decode.py: python benchmarks/report.py results/decode.json [--plot FILE.png]."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

SITES = 784


def medians(results: dict) -> dict[tuple, float]:
    """(model, batch, side, threads) → median seconds."""
    out = {}
    for benchmark in results["benchmarks"]:
        info = benchmark["extra_info"]
        out[info["model"], info["batch"], info["side"], info["threads"]] = benchmark["stats"]["median"]
    return out


def table(results: dict) -> str:
    machine, time = results["machine_info"]["genfast"], medians(results)
    peak = machine["fma_peak_gflops"]
    work = {
        b["extra_info"]["model"]: b["extra_info"]["multiply_adds"]
        for b in results["benchmarks"]
        if "multiply_adds" in b["extra_info"]
    }
    fma = {
        (b["extra_info"]["model"], b["extra_info"]["batch"]): b["extra_info"]["fma_rate_between_rounds"]
        for b in results["benchmarks"]
        if "fma_rate_between_rounds" in b["extra_info"]
    }
    lines = [
        f"{machine['cpu']}, genfast target {machine['target']}, torch {machine['torch']} ({machine['torch_isa']}), "
        f"one thread, f32; FMA peak {peak:.0f} GFLOP/s in a quiet moment, "
        f"{min(fma.values()):.0f} to {max(fma.values()):.0f} between the rounds.",
        "",
        "| model, batch | naive PyTorch | forward pass | channels_last | genfast | ÷ forward | ÷ channels_last "
        "| naive ÷ genfast | GFLOP/s (of peak, of FMAs between rounds) |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for model in work:
        for batch in (1, 16, 64):
            ours = time[model, batch, "genfast", 1]
            forward, last = (time[model, batch, f"forward {layout}", 1] for layout in ("default", "channels_last"))
            measured = (model, batch, "naive", 1) in time
            naive = time[model, batch, "naive", 1] if measured else forward * SITES
            rate = 2 * work[model] * batch / ours / 1e9
            lines.append(
                f"| {model}, {batch} | {naive:.3g} s{'' if measured else ' (forward × 784)'} | {forward * 1e3:.3g} ms "
                f"| {last * 1e3:.3g} ms | {ours * 1e3:.3g} ms | {ours / forward:.2f} | {ours / last:.2f} "
                f"| {naive / ours:.0f} | {rate:.0f} ({rate / peak:.0%}, {rate / fma[model, batch]:.0%}) |"
            )
    lines.append("")
    for model in work:
        two = time[model, 64, "genfast", 1] / time[model, 64, "genfast", 2]
        pixels = time[model, 1, "genfast, no wavefronts", 1]
        lines.append(
            f"- {model}: two threads at batch 64 {two:.2f}× one; batch 1 pixel by pixel {pixels * 1e3:.3g} ms; "
            f"load {time[model, 0, 'load', 1] * 1e3:.2g} ms; plan {time[model, 0, 'plan', 1] * 1e3:.2g} ms."
        )
    for benchmark in results["benchmarks"]:
        info = benchmark["extra_info"]
        if info["side"] == "import":
            lines.append(
                f"- import genfast: {info['import_ms_over_numpy']:.0f} ms over numpy; with load and 64 digits "
                f"{info['first_sample_ms_over_numpy']:.0f} ms."
            )
        if info["side"] == "memory":
            lines.append(
                f"- peak memory of a process: {info['peak_mib_after_100']} MiB after 100 digits, "
                f"{info['peak_mib_after_10000']} MiB after 10,000."
            )
    return "\n".join(lines)


def plot(results: dict, path: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    time, machine = medians(results), results["machine_info"]["genfast"]
    models = sorted({key[0] for key in time if key[2] == "genfast"}, key=len)
    figure, axes = plt.subplots(1, len(models), figsize=(9, 3.6), sharey=True)
    for axis, model in zip(axes, models, strict=True):
        batches = [1, 16, 64]
        series = {
            "naive PyTorch (forward × 784 above batch 1)": [
                time.get((model, b, "naive", 1), SITES * time[model, b, "forward default", 1]) for b in batches
            ],
            "one PyTorch forward pass": [time[model, b, "forward default", 1] for b in batches],
            "one forward pass, channels_last": [time[model, b, "forward channels_last", 1] for b in batches],
            "genfast, all 784 pixels": [time[model, b, "genfast", 1] for b in batches],
        }
        for (label, seconds), marker in zip(series.items(), "osd^", strict=True):
            axis.plot(batches, [s / b * 1e3 for s, b in zip(seconds, batches, strict=True)], marker=marker, label=label)
        axis.set(xscale="log", yscale="log", title=f"PixelCNN {model}, 28×28", xlabel="batch", xticks=batches)
        axis.set_xticks(batches, [str(b) for b in batches])
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("ms per image")
    axes[0].legend(fontsize=7)
    figure.suptitle(f"{machine['cpu']}, one thread, f32, {machine['target']}", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("json", type=Path)
    parser.add_argument("--plot", metavar="FILE.png")
    arguments = parser.parse_args()
    results = json.loads(arguments.json.read_text())
    print(table(results))
    if arguments.plot:
        plot(results, arguments.plot)


if __name__ == "__main__":
    main()
