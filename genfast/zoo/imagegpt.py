"""ImageGPT: a decoder-only transformer over the pixels in raster order, each one of `levels` tokens.

Chen et al., "Generative Pretraining from Pixels", ICML 2020; the class enters as a vector added to every position.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genfast.zoo.gpt import Block, initialise


class ImageGPT(nn.Module):
    """A transformer over images of one channel.

    levels: categories of a pixel. size: (H, W). channels: width, divisible by `heads`. layers: blocks. classes: labels;
    0 gives an unconditional model, called without `label`. augmentations: see `genfast.zoo.gated.GatedPixelCNN`.
    forward: x (n, 1, H, W) float, levels scaled to [0, 1]; label (n,) int64 → logits (n, levels, H, W).
    """

    def __init__(
        self,
        levels: int = 17,
        size: tuple[int, ...] = (8, 8),
        channels: int = 32,
        layers: int = 3,
        heads: int = 4,
        classes: int = 10,
        augmentations: int = 0,
        dropout: float = 0.0,
    ) -> None:
        if channels % heads:
            raise ValueError(f"channels must be divisible by heads, got {channels} and {heads}")
        super().__init__()
        self.levels, self.size = levels, tuple(size)
        self.pixels = nn.Embedding(levels, channels)
        self.positions = nn.Parameter(torch.empty(size[0] * size[1], channels))
        self.label = nn.Embedding(classes, channels) if classes else None
        self.augmentation = nn.Embedding(augmentations, channels, padding_idx=0) if augmentations else None
        self.blocks = nn.ModuleList(Block(channels, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(channels)
        self.logits = nn.Linear(channels, levels)
        initialise(self, layers)
        if self.augmentation is not None:
            nn.init.zeros_(self.augmentation.weight)

    def forward(self, x: Tensor, label: Tensor | None = None, augmentation: Tensor | None = None) -> Tensor:
        tokens = (x * (self.levels - 1)).round().long().flatten(1)
        # Position p is fed the pixel before its own, the first none: what it puts out is for pixel p itself.
        h = F.pad(self.pixels(tokens)[:, :-1], (0, 0, 1, 0)) + self.positions
        for table, index in ((self.label, label), (self.augmentation, augmentation)):
            if table is not None and index is not None:
                h = h + table(index)[:, None]
        for block in self.blocks:
            h = block(h)
        return self.logits(self.norm(h)).transpose(1, 2).unflatten(2, self.size)
