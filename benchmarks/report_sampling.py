"""The ratio table of the sampling benchmarks: python benchmarks/report_sampling.py results/sampling.json."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def per_draw(seconds: float, n: int) -> str:
    """Time of one draw, in ns or µs."""
    ns = seconds / n * 1e9
    return f"{ns:.3g} ns" if ns < 1000 else f"{ns / 1e3:.3g} µs" if ns < 1e6 else f"{ns / 1e6:.3g} ms"


def table(results: dict) -> str:
    machine = results["machine_info"]["genfast"]
    groups: dict[str, dict[str, tuple[float, int]]] = {}
    for benchmark in results["benchmarks"]:
        info = benchmark["extra_info"]
        groups.setdefault(benchmark["group"], {})[info["side"]] = benchmark["stats"]["median"], info["n"]
    lines = [
        f"{machine['cpu']}, genfast target {machine['target']}, torch {machine['torch']} ({machine['torch_isa']}); "
        "one thread unless said otherwise; medians.",
        "",
        "| what | genfast | peer | peer's time | peer ÷ genfast |",
        "| --- | --- | --- | --- | --- |",
    ]
    for group, sides in groups.items():
        if "genfast" not in sides:
            continue
        ours, n = sides.pop("genfast")
        sides = {side: result for side, result in sides.items() if not side.startswith("genfast")}
        if not sides:
            lines.append(f"| {group} | {per_draw(ours, n)} | | | |")
        for side, (seconds, peer_n) in sides.items():
            ratio = (seconds / peer_n) / (ours / n)
            lines.append(f"| {group} | {per_draw(ours, n)} | {side} | {per_draw(seconds, peer_n)} | {ratio:.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("json", type=Path)
    print(table(json.loads(parser.parse_args().json.read_text())))


if __name__ == "__main__":
    main()
