"""MADE, the masked autoencoder: Germain et al., "MADE: Masked Autoencoder for Distribution Estimation", ICML 2015.

Every hidden unit has a degree d and sees the first d pixels only. The last layer gives every pixel a few features of
the pixels before it, which one small network turns into logits for all pixels alike: a full layer to pixels × levels
would be most of the model.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MaskedLinear(nn.Linear):
    """A linear layer with the given zeros. mask: (out_features, in_features) bool."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.mask, self.bias)


class MADE(nn.Module):
    """A masked perceptron over images of one channel, in raster order.

    levels: categories of a pixel. size: (H, W). hidden: units of each of the `layers` hidden layers, whose degrees go
    round 1 … H·W − 1. features: of a pixel. head: units of the network that makes logits of features. classes: labels,
    which add to every unit; 0 gives an unconditional model, called without `label`. augmentations: see
    `genfast.zoo.gated.GatedPixelCNN`.
    forward: x (n, 1, H, W) float, levels scaled to [0, 1]; label (n,) int64 → logits (n, levels, H, W).
    """

    def __init__(
        self,
        levels: int = 17,
        size: tuple[int, ...] = (8, 8),
        hidden: int = 128,
        layers: int = 1,
        features: int = 4,
        head: int = 32,
        classes: int = 10,
        augmentations: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        pixels = size[0] * size[1]
        self.size, self.features = tuple(size), features
        # Pixel k has degree k + 1; a hidden unit of degree d sees pixels of degree up to d, a feature only those below.
        degrees = [torch.arange(1, pixels + 1)]
        degrees += [torch.arange(hidden) % max(pixels - 1, 1) + 1] * layers
        masks = [after[:, None] >= before for before, after in pairwise(degrees)]
        masks.append((degrees[0].repeat(features)[:, None]) > degrees[-1])
        self.layers = nn.ModuleList(MaskedLinear(mask) for mask in masks)
        units = [len(mask) for mask in masks]
        self.label = self.tables(classes, units) if classes else None
        self.augmentation = self.tables(augmentations, units, padding=0) if augmentations else None
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Conv2d(features, head, 1)
        self.logits = nn.Conv2d(head, levels, 1)
        self.bias = nn.Parameter(torch.zeros(levels, *size))

    @staticmethod
    def tables(rows: int, units: list[int], padding: int | None = None) -> nn.ModuleList:
        """What each row of a condition adds to the units of each layer: nothing at first, the row `padding` ever."""
        tables = [nn.Embedding(rows, width, padding_idx=padding) for width in units]
        for table in tables:
            nn.init.zeros_(table.weight)
        return nn.ModuleList(tables)

    def forward(self, x: Tensor, label: Tensor | None = None, augmentation: Tensor | None = None) -> Tensor:
        h = x.flatten(1)
        for i, layer in enumerate(self.layers):
            h = layer(self.dropout(F.relu(h)) if i else h)
            for tables, index in ((self.label, label), (self.augmentation, augmentation)):
                if tables is not None and index is not None:
                    h = h + tables[i](index)
        h = h.unflatten(1, (self.features, *self.size))
        return self.logits(F.relu(self.head(h))) + self.bias
