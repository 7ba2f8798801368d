"""The table of bench_feedforward.py: python benchmarks/report_feedforward.py results/feedforward.json."""

from __future__ import annotations

import json
import sys


def table(results: dict) -> str:
    """Markdown: the medians of every side, what genfast's is of the best other, and its share of the FMA peak."""
    machine = results["machine_info"]["genfast"]
    times: dict[tuple[str, int], dict[str, float]] = {}
    work = {}
    for b in results["benchmarks"]:
        info = b["extra_info"]
        times.setdefault((info["model"], info["batch"]), {})[info["side"]] = b["stats"]["median"] * 1e3
        work[info["model"]] = info["multiply_adds"]
    others = ["PyTorch eager", "torch.compile", "ONNX Runtime"]
    lines = [
        f"{machine['cpu']}, genfast target {machine['target']}, torch {machine['torch']} ({machine['torch_isa']}), one "
        f"thread, ms a batch; FMA peak {machine['fma_peak_gflops']:.0f} GFLOP/s.",
        "",
        f"| model | batch | genfast | sample() | {' | '.join(others)} | best other ÷ genfast | of the FMA peak |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (model, batch), row in times.items():
        ours, known = row["genfast"], {side: row[side] for side in others if side in row}
        sample = row.get("genfast, sample()")
        share = 2e-6 * work[model] * batch / ours / machine["fma_peak_gflops"]
        cells = [f"{known[side]:.4g}" if side in known else "" for side in others]
        lines.append(
            f"| {model} | {batch} | {ours:.4g} | {'' if sample is None else f'{sample:.4g}'} | {' | '.join(cells)} "
            f"| {min(known.values()) / ours:.2f} | {share:.0%} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print(table(json.load(file)))
