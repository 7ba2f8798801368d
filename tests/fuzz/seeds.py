"""Writes what `make sanitize` mutates beside the bundled model: attention of every form, loops, a fixed first site,
outputs and rounds.

python tests/fuzz/seeds.py DIRECTORY
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from outputs_for_tests import feed_forward, iterated
from plans_for_tests import Builder, Random

SITES = 6


def start(seed: int) -> tuple[Random, int]:
    """A builder, and the value that holds what was drawn at the site before."""
    b = Random(np.random.default_rng(seed), SITES, 1)
    b.values = [(SITES, 1), (1, 3)]
    before = b.table(np.arange(SITES) - 1)
    return b, b.add("copy", SITES, 1, blocks=[[0, before, 0, 1, 0]], fill=0.5)


def dense(b: Random, channels: int, *sources: tuple[int, int], out: int | None = None) -> int:
    """A product of all channels of some values through tables, without a zero among its weights."""
    segments, k = [], 0
    for value, table in sources:
        count = b.values[value][1]
        segments.append([value, table, 0, count, k])
        k += count
    if out is None:
        b.values.append((SITES, channels))
        out = len(b.values) - 1
    return b.gemm_node(out, segments, b.rng.standard_normal((k, channels)))


def finish(b: Builder, value: int) -> bytes:
    """Levels of all sites but the first from the first two channels of a value."""
    table = b.table(np.where(np.arange(SITES), np.arange(SITES), -1))
    head = {
        "kind": "categorical",
        "value": value,
        "table": table,
        "channel": 0,
        "levels": 2,
        "values": b.weight([0, 1]),
    }
    file = b.file(head, None)
    file.graph["bos"] = 1
    return file.bytes()


def attention() -> bytes:
    """Grouped heads over an interval, then with a bias over a bitmap."""
    b, before = start(1)
    wide = dense(b, 40, (before, -1), (1, -1))
    shape = {"heads": 4, "kv_heads": 2, "dim": 3, "dim_v": 2, "keys": SITES, "scale": 0.5}
    sources = {"q": [wide, -1, 0, 3], "k": [wide, -1, 12, 4], "v": [wide, -1, 20, 2]}
    interval = [b.table(np.maximum(np.arange(SITES) - 3, 0)), b.table(np.arange(SITES) + 1)]
    first = b.add("attend", SITES, 8, **sources, **shape, visible=interval, bias=-1)
    sources["q"] = [wide, -1, 20, 5]
    sources["k"] = [wide, b.table(np.arange(SITES)), 12, 4]
    shape |= {"bitmap": b.table((1 << np.arange(SITES)) | 1), "bias": b.weight(np.ones((4, SITES, SITES)))}
    second = b.add("attend", SITES, 8, **sources, **shape)
    return finish(b, dense(b, 3, (first, -1), (second, -1), (before, -1)))


def loop() -> bytes:
    """A gemm that reads its own value, and a state that three nodes pass on."""
    b, before = start(2)
    last, own = b.table(np.arange(SITES) - 1), len(b.values)
    b.values.append((SITES, 2))
    dense(b, 2, (own, last), (before, -1), out=own)
    state = b.add("copy", SITES, 2, blocks=[[own + 3, last, 0, 2, 0]], fill=0)
    mixed = dense(b, 2, (state, -1), (own, -1))
    return finish(b, b.add("map", SITES, 2, op="tanh", args=[[mixed, -1, 0, 0]], params=[]))


def decoder() -> bytes:
    return feed_forward(10, given=False)


def rounds() -> bytes:
    """States that change places, rolled."""
    return iterated(4, jitter=1)


if __name__ == "__main__":
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    for make in (attention, loop, decoder, rounds):
        (directory / f"{make.__name__}.genfast").write_bytes(make())
