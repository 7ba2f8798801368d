"""A lowered model on its way to a file: the alignment and the order may still be found by trying."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ..errors import NotCausalError
from .file import to_bytes
from .graph import Graph
from .sites import Sites

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Exported:
    """A lowered model: everything of the file but what may be found by trying, the alignment and the order."""

    graph: Graph  # pruned
    sites: Sites
    head: dict[str, Any]  # the file's entry, without its table
    table: np.ndarray  # the head's position for each site
    order: np.ndarray | None  # None: to be inferred
    description: dict[str, Any]
    assumed: list[str]
    alignments: tuple[str, ...]  # to be tried in this order
    either: bool  # whether "same" and "next" were both open
    bos: int

    def check_next(self) -> None:
        """Raise ValueError if the output at p cannot predict the next site."""
        if self.head["kind"] != "categorical":
            raise ValueError("alignment='next' needs a Categorical head: the first site has no distribution")
        if self.sites.channels > 1:
            raise ValueError("alignment='next' is for inputs without channels: which site comes next is not clear")

    def to_bytes(self, alignment: str = "same", order: np.ndarray | None = None) -> bytes:
        """The `.genfast` file (docs/format.md) for one alignment; raster where no order is given or known."""
        graph = dataclasses.replace(self.graph, tables=list(self.graph.tables), sources=list(self.graph.sources))
        order = self.order if order is None else order
        raster = np.arange(self.sites.count).reshape(self.sites.channels, -1).T.reshape(-1)
        more: dict[str, Any] = {}
        table, assumed = self.table, list(self.assumed)
        if alignment == "next":
            table = np.concatenate([[-1], table[:-1]]).astype(np.int32)
            more = {"bos": self.bos}
            assumed.append(f"output p predicts site p + 1, and site 0 is {self.bos} unless it is given")
        head = self.head
        if head["kind"] != "none":
            head = {**head, "table": graph.final_table(table, graph.values[head["value"]][0])}
        kept: dict[str, Any] = {"kind": "raster"}
        if order is not None and not np.array_equal(order, raster):
            kept = {"kind": "permutation", "table": graph.final_table(order, self.sites.count, False)}
        return to_bytes(graph, {**self.description, "head": head, **more, "order": kept, "assumed": assumed})

    def settle(self, plan: Callable[[bytes], T], infer_order: Callable[[bytes], np.ndarray]) -> T:
        """What `plan` makes of the first file that is causal.

        Parameters
        ----------
        plan : callable
            Takes a file; raises NotCausalError if it is not causal for its order.
        infer_order : callable
            Takes a file and returns an order, int (sites,), for which it is causal, or raises NotCausalError.

        Raises
        ------
        NotCausalError
            Of the last alignment, which is where attention that sees one token too far shows its fault.
        """
        for alignment in self.alignments:
            try:
                data = self.to_bytes(alignment)
                if self.order is None:
                    data = self.to_bytes(alignment, np.asarray(infer_order(data)))
                return plan(data)
            except NotCausalError as error:
                if alignment != self.alignments[-1]:
                    continue
                if self.either:
                    raise NotCausalError(
                        f"{error} (this is for outputs p that predict site p + 1; the model is not causal for outputs "
                        "that predict their own site either)"
                    ) from None
                raise
        raise AssertionError("there is always an alignment to try")
