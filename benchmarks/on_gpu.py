"""What the GPU benchmarks share: the command line, captured calls, the memory bandwidth, and a file of results."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def arguments(description: str, cases: Sequence[dict[str, Any]], title: Callable[..., str], runs: int) -> Any:
    """The parsed command line, with the chosen cases as `chosen`. Exits after --list, and with status 2 where there is
    no GPU."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, help="write the results here")
    parser.add_argument("--runs", type=int, default=runs)
    parser.add_argument("--only", default="", help="cases whose title contains this")
    parser.add_argument("--list", action="store_true", help="print the cases and exit")
    given = parser.parse_args()
    given.chosen = [case for case in cases if given.only in title(case)]
    if given.list:
        print("\n".join(map(title, given.chosen)))
        sys.exit(0)
    from genfast.devices import why_unavailable
    from genfast.errors import DeviceError

    try:
        why = why_unavailable()
    except DeviceError as error:
        why = str(error)
    if why:
        print(f"nothing is measured: {why}", file=sys.stderr)
        sys.exit(2)
    return given


def captured(call: Callable[[], Any]) -> Callable[[], Any]:
    """The call as a CUDA graph to replay; gives the captured result."""
    import torch

    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = call()

    def replay() -> Any:
        graph.replay()
        return result

    return replay


def bandwidth(seconds: Callable[[Callable[[], Any]], float]) -> float:
    """Bytes a second of a copy of 1 GiB, read and write counted. seconds: of a call, its median."""
    import torch

    a = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
    b = torch.empty_like(a)
    return 2 * (1 << 30) / seconds(lambda: b.copy_(a))


def save(path: Path | None, results: list[dict[str, Any]], **limits: Any) -> None:
    """The results with the command, the device and the versions, where a path was given."""
    if path is None:
        return
    import torch

    import genfast as gf

    about = {
        "command": shlex.join([Path(sys.executable).name, *sys.argv]),
        "device": torch.cuda.get_device_name(),
        **limits,
        "torch": torch.__version__,
        "genfast": gf.__version__,
    }
    path.write_text(json.dumps({**about, "results": results}, indent=1) + "\n")
