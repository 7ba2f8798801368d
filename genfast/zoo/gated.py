"""Gated PixelCNN: van den Oord et al., "Conditional Image Generation with PixelCNN Decoders", NIPS 2016.

The vertical stack sees every row above the pixel, the horizontal stack the pixels to its left and the vertical stack;
together they see all earlier pixels, so there is no blind spot. Kernels are cut to the taps that they may see, which
needs no masks.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def gate(x: Tensor) -> Tensor:
    """tanh(a) · σ(b) of the two halves a, b of the channels (equation 2)."""
    a, b = x.chunk(2, dim=1)
    return torch.tanh(a) * torch.sigmoid(b)


class Above(nn.Conv2d):
    """Reads `reach` rows above each pixel, `reach` columns to both sides, and with `own_row` the pixel's own row."""

    def __init__(self, in_channels: int, out_channels: int, reach: int, own_row: bool) -> None:
        super().__init__(in_channels, out_channels, (reach + own_row, 2 * reach + 1), padding=reach)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[:, :, : x.shape[2]]


class Left(nn.Conv2d):
    """Reads `reach` pixels left of each pixel, and with `own_pixel` the pixel itself."""

    def __init__(self, in_channels: int, out_channels: int, reach: int, own_pixel: bool) -> None:
        super().__init__(in_channels, out_channels, (1, reach + own_pixel), padding=(0, reach))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[:, :, :, : x.shape[3]]


class GatedLayer(nn.Module):
    """One layer of both stacks (figure 2 of the paper). The first layer reads the image and excludes the pixel itself.

    `classes` labels give a bias to each gate (equation 4); `augmentations` (training only) likewise, where 0 means
    none.
    """

    def __init__(
        self, in_channels: int, channels: int, reach: int, first: bool, classes: int, augmentations: int, dropout: float
    ) -> None:
        super().__init__()
        self.residual = not first
        self.vertical = Above(in_channels, 2 * channels, reach, own_row=not first)
        self.horizontal = Left(in_channels, 2 * channels, reach, own_pixel=not first)
        self.across = nn.Conv2d(2 * channels, 2 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        self.dropout = nn.Dropout2d(dropout)
        self.label = nn.Embedding(classes, 4 * channels) if classes else None
        self.augmentation = nn.Embedding(augmentations, 4 * channels, padding_idx=0) if augmentations else None
        for table in (self.label, self.augmentation):
            if table is not None:
                nn.init.zeros_(table.weight)

    def bias(self, label: Tensor | None, augmentation: Tensor | None) -> Tensor | None:
        """(n, 4c, 1, 1): the vertical gate's bias, then the horizontal gate's; None without conditions."""
        total = None
        for table, index in ((self.label, label), (self.augmentation, augmentation)):
            if table is not None and index is not None:
                total = table(index) if total is None else total + table(index)
        return None if total is None else total[:, :, None, None]

    def forward(self, v: Tensor, h: Tensor, label: Tensor | None, augmentation: Tensor | None) -> tuple[Tensor, Tensor]:
        """Vertical and horizontal stacks, (n, c, H, W) each, from those of the layer below."""
        vertical = self.vertical(v)
        horizontal = self.horizontal(h) + self.across(vertical)
        bias = self.bias(label, augmentation)
        if bias is not None:
            to_vertical, to_horizontal = bias.chunk(2, dim=1)
            vertical, horizontal = vertical + to_vertical, horizontal + to_horizontal
        out = self.out(self.dropout(gate(horizontal)))
        return gate(vertical), h + out if self.residual else out


class GatedPixelCNN(nn.Module):
    """A 7×7 first layer, `layers` 3×3 layers with residual horizontal stacks, and a ReLU, 1×1, ReLU, 1×1 head.

    levels: categories of a pixel. classes: labels; 0 gives an unconditional model, called without `label`.
    augmentations: kinds of augmented training images, told to the network so that it does not mistake them for real
    ones (Jun et al., "Distribution Augmentation for Generative Modeling", ICML 2020); 0 and absent mean a real image.
    forward: x (n, 1, H, W) float, levels scaled to [0, 1]; label (n,) int64 → logits (n, levels, H, W).
    """

    def __init__(
        self,
        levels: int = 17,
        channels: int = 32,
        layers: int = 3,
        classes: int = 10,
        head_channels: int | None = None,
        augmentations: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        head = head_channels or channels
        self.layers = nn.ModuleList(
            GatedLayer(channels if i else 1, channels, 1 if i else 3, not i, classes, augmentations, dropout)
            for i in range(layers + 1)
        )
        self.head = nn.Conv2d(channels, head, 1)
        self.logits = nn.Conv2d(head, levels, 1)

    def forward(self, x: Tensor, label: Tensor | None = None, augmentation: Tensor | None = None) -> Tensor:
        v = h = x
        for layer in self.layers:
            v, h = layer(v, h, label, augmentation)
        return self.logits(F.relu(self.head(F.relu(h))))
