"""The families by name: a network, an example of its input, the head, and how its author's loop reads the output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

import genfast as gf
from families import images, masked_mlps, pixelcnnpp, pixelsnail, sequences, transformers


@dataclass
class Family:
    """`rows` takes what forward returns to the numbers of each site, (n, sites, numbers), or of each position for a
    mixture. `order`: site of each rank. `shift`: row p is for site p + 1, and site 0 takes the level `bos`.
    """

    model: torch.nn.Module
    example: torch.Tensor
    head: Any
    rows: Callable[[Any], torch.Tensor]
    order: np.ndarray | None = None
    shift: bool = False
    bos: int = 0
    condition: Callable[[int], Mapping[str, np.ndarray]] = lambda n: {}
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.model.eval()
        self.shape = tuple(self.example.shape[1:])
        self.sites = int(np.prod(self.shape))
        if self.order is None:
            channels = self.shape[0] if len(self.shape) == 3 else 1
            self.order = np.arange(self.sites).reshape(channels, -1).T.reshape(-1)

    def compile(self) -> gf.Model:
        conditions = [torch.as_tensor(array) for array in self.condition(2).values()]
        example = (self.example, *conditions) if conditions else self.example
        return gf.compile(self.model, example, head=self.head, **self.options)

    def fed(self, x: np.ndarray) -> torch.Tensor:
        """The network's input for levels (n, *shape)."""
        values = torch.from_numpy(self.values)
        return values[torch.from_numpy(x.astype(np.int64))].to(self.example.dtype)

    @property
    def values(self) -> np.ndarray:
        """What the network is fed for each level."""
        if isinstance(self.head, gf.heads.Categorical | gf.heads.Bernoulli):
            return self.head.fed(not self.example.is_floating_point())
        return np.linspace(self.head.low, self.head.high, self.head.levels).astype(np.float32)

    def outputs(self, fed: torch.Tensor) -> torch.Tensor:
        """(n, sites, numbers) float64; for site 0 of a shifted model, whatever."""
        conditions = [torch.as_tensor(array) for array in self.condition(len(fed)).values()]
        with torch.no_grad():
            rows = self.rows(self.model(fed, *conditions)).double()
        return torch.cat([rows[:, :1], rows[:, :-1]], 1) if self.shift else rows


def last(out: Any) -> torch.Tensor:
    """(B, T, V), alone, first of a tuple, or the "logits" of a dictionary."""
    out = out["logits"] if isinstance(out, dict) else out[0] if isinstance(out, tuple) else out
    return out.flatten(1, -2)


def axis1(out: Any) -> torch.Tensor:
    """(B, N, *positions), alone or the first of a tuple."""
    out = out[0] if isinstance(out, tuple) else out
    return out.flatten(2).transpose(1, 2)


def one(out: torch.Tensor) -> torch.Tensor:
    """One number a site."""
    return out.flatten(1)[..., None]


def tokens(levels: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, levels, (2, *shape)))


def floats(*shape: int) -> torch.Tensor:
    return torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))


def language(model: torch.nn.Module, vocabulary: int, length: int, bos: int = 0) -> Family:
    options = {"bos": bos} if bos else {}
    head = gf.heads.Categorical(vocabulary)
    return Family(model, tokens(vocabulary, length), head, last, shift=True, bos=bos, options=options)


def made(nout: int, natural: bool, levels: int = 2, num_masks: int = 1, infer: bool = False) -> Family:
    model = masked_mlps.MADE(9, [20, 20], 9 * nout, num_masks=num_masks, natural=natural)
    for _ in range(num_masks - 1):
        model.update_masks()
    order = np.argsort(model.m[-1])
    head = gf.heads.Bernoulli() if nout == 1 else gf.heads.Categorical(levels, layout="interleaved")
    rows = one if nout == 1 else lambda out: out.view(len(out), nout, 9).transpose(1, 2)
    options = {} if natural else {"order": "infer" if infer else order}
    return Family(model, floats(9), head, rows, order, options=options)


def pixelcnnpp_rgb() -> Family:
    head = gf.heads.DiscretizedLogisticMixture(2, levels=16)
    return Family(pixelcnnpp.PixelCNNPP(), floats(3, 4, 4) * 2 - 1, head, axis1)


def pixelcnnpp_grey() -> Family:
    head = gf.heads.DiscretizedLogisticMixture(3, levels=16)
    model = pixelcnnpp.PixelCNNPP(mixtures=3, channels=1, c=5)
    return Family(model, floats(1, 4, 4) * 2 - 1, head, axis1)


def subpixels(flat: bool) -> Family:
    """Interleaved: channel l · 3 + c is level l of colour c."""
    model = images.RGBPixelCNN(flat=flat)
    for norm in model.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(norm.running_mean)
            torch.nn.init.uniform_(norm.running_var, 0.5, 2)
    head = gf.heads.Categorical(4, layout="interleaved") if flat else gf.heads.Categorical(4)
    rows = lambda out: out.view(len(out), 4, -1).transpose(1, 2)
    return Family(model, floats(3, 4, 4), head, rows)


def snake(size: int) -> np.ndarray:
    table = np.arange(size * size).reshape(size, size)
    table[1::2] = table[1::2, ::-1].copy()
    return table.reshape(-1)


def locally_masked(order: np.ndarray, name: Any) -> Family:
    model = images.LocallyMaskedPixelCNN(order)
    return Family(model, floats(1, 5, 5), gf.heads.Categorical(4), axis1, order, options={"order": name})


def conditional(kind: str) -> Family:
    model = images.ConditionalGated(kind)

    def condition(n: int) -> dict[str, np.ndarray]:
        if kind == "label":
            return {"cond": np.arange(n) % 5}
        shape = (5,) if kind == "vector" else (1, 2, 2)
        rows = [np.random.default_rng(row).random(shape, np.float32) for row in range(n)]
        return {"cond": np.stack(rows)}

    return Family(model, floats(1, 4, 4), gf.heads.Categorical(4), axis1, condition=condition)


def maf(joint: bool, natural: bool) -> Family:
    model = masked_mlps.MAF(joint=joint, natural=natural)
    rows = lambda out: torch.stack(out, 2) if isinstance(out, tuple) else out.view(len(out), 2, -1).transpose(1, 2)
    order = np.argsort(model.made.m[-1])
    return Family(model, floats(6), gf.heads.Normal(layout="interleaved"), rows, order, options={"order": order})


def image_gpt() -> Family:
    return Family(transformers.ImageGPT(), tokens(6, 4, 4), gf.heads.Categorical(6), last)


def pixel_snail(start: bool = True) -> Family:
    return Family(pixelsnail.PixelSNAIL(start=start), tokens(5, 5, 5), gf.heads.Categorical(5), axis1)


def wavenet(shifted: bool) -> Family:
    model = sequences.WaveNet(shifted=shifted)
    return Family(model, tokens(8, 16), gf.heads.Categorical(8), axis1, shift=not shifted)


def raw_wavenet() -> Family:
    head = gf.heads.Categorical(8, values=np.linspace(-1, 1, 8))
    return Family(sequences.RawWaveNet(), floats(1, 16) * 2 - 1, head, axis1)


T = transformers
FAMILIES: dict[str, Callable[[], Family]] = {
    "PixelCNN++ RGB": pixelcnnpp_rgb,
    "PixelCNN++ grey": pixelcnnpp_grey,
    "PixelSNAIL": pixel_snail,
    "ImageGPT": image_gpt,
    "minGPT": lambda: language(T.MinGPT(), 11, 12),
    "nanoGPT": lambda: language(T.MinGPT(flash=True), 11, 12, bos=5),
    "Llama eager": lambda: language(T.Llama(), 13, 10),
    "Llama sdpa": lambda: language(T.Llama(spelling="sdpa"), 13, 10),
    "Llama complex": lambda: language(T.LlamaComplex(), 9, 10),
    "ALiBi": lambda: language(T.Alibi(), 7, 10),
    "linear attention": lambda: language(T.LinearAttention(), 7, 10),
    "encoder batch first": lambda: language(T.EncoderLM(), 8, 10),
    "encoder sequence first": lambda: language(T.EncoderLM(batch_first=False, norm_first=True), 8, 10),
    "MADE natural": lambda: made(1, True),
    "MADE permuted": lambda: made(1, False),
    "MADE of the third mask": lambda: made(1, False, num_masks=3),
    "MADE inferred": lambda: made(1, False, infer=True),
    "MADE of levels": lambda: made(3, False, levels=3),
    "NADE": lambda: Family(masked_mlps.NADE(), floats(9), gf.heads.Bernoulli(probs=True), one),
    "MAF of two outputs": lambda: maf(False, True),
    "MAF permuted, one output": lambda: maf(True, False),
    "WaveNet": lambda: wavenet(True),
    "WaveNet of the next": lambda: wavenet(False),
    "WaveNet raw": raw_wavenet,
    "LSTM": lambda: language(sequences.CharRNN("LSTM"), 7, 9),
    "LSTM sequence first": lambda: language(sequences.CharRNN("LSTM", batch_first=False, own_state=True), 7, 9),
    "GRU": lambda: language(sequences.CharRNN("GRU"), 7, 9),
    "RNN": lambda: language(sequences.CharRNN("RNN", own_state=True, layers=1), 7, 9),
    "LSTM cells": lambda: Family(sequences.CellLoop(), tokens(6, 8), gf.heads.Categorical(6), last),
    "running mean": lambda: language(sequences.EMA(), 6, 9),
    "locally masked snake": lambda: locally_masked(snake(5), "snake"),
    "locally masked permutation": lambda: locally_masked(*2 * (np.random.default_rng(3).permutation(25),)),
    "RGB sub-pixels": lambda: subpixels(False),
    "RGB sub-pixels flat": lambda: subpixels(True),
    "gated by a label": lambda: conditional("label"),
    "gated by a vector": lambda: conditional("vector"),
    "gated by an image": lambda: conditional("image"),
}


def build(name: str) -> Family:
    """The family, its weights seeded and large enough for distributions with shape."""
    torch.manual_seed(0)
    family = FAMILIES[name]()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in family.model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return family
