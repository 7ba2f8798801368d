"""The table of bench_models.py: python benchmarks/report_models.py results/models.json."""

from __future__ import annotations

import json
import sys


def table(results: dict) -> str:
    """Markdown: the medians of every model and side against genfast f32, and the share of the read bandwidth."""
    machine = results["machine_info"]["genfast"]
    rows = [{**b["extra_info"], "seconds": b["stats"]["median"]} for b in results["benchmarks"]]
    ours = {
        (r["model"], r["batch"], r["threads"]): r["seconds"] for r in rows if r["side"] in ("genfast", "genfast f32")
    }
    lines = [
        f"{machine['cpu']}, genfast target {machine['target']}, torch {machine['torch']} ({machine['torch_isa']}), "
        "one thread.",
        "",
        "| model | batch | side | median | a token | ÷ genfast f32 | of the read bandwidth |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for r in sorted(rows, key=lambda r: (r["model"], r["batch"], r["threads"], r["seconds"])):
        token = f"{r['seconds'] / r['tokens'] * 1e3:.2f} ms" if "tokens" in r else ""
        reached = ""
        if "weight_bytes" in r and r["batch"] == 1:
            rate = r["weight_bytes"] * r["tokens"] / r["seconds"] / 1e9
            reached = f"{rate / r['read_gb_s']:.0%} of {r['read_gb_s']:.1f} GB/s"
        ratio = r["seconds"] / ours[r["model"], r["batch"], r["threads"]]
        lines.append(
            f"| {r['model']} | {r['batch']} | {r['side']} | {r['seconds'] * 1e3:.4g} ms | {token} | {ratio:.2f} "
            f"| {reached} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print(table(json.load(file)))
