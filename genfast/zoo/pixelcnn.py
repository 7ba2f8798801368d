"""PixelCNN: van den Oord, Kalchbrenner & Kavukcuoglu, "Pixel Recurrent Neural Networks", ICML 2016, sections 3.3 to
3.5."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MaskedConv2d(nn.Conv2d):
    """A convolution that sees the pixels before its own in raster order, and its own too when `kind` is "B".

    kind: "A" (strictly before) or "B" (before, or the same). kernel_size: odd; the padding keeps the size.
    """

    mask: Tensor

    def __init__(self, kind: str, in_channels: int, out_channels: int, kernel_size: int) -> None:
        if kind not in ("A", "B"):
            raise ValueError(f"mask kind must be 'A' or 'B', got {kind!r}")
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, got {kernel_size}")
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        mask = torch.ones(kernel_size, kernel_size)
        middle = kernel_size // 2
        mask[middle, middle + (kind == "B") :] = 0
        mask[middle + 1 :] = 0
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class ResidualBlock(nn.Module):
    """ReLU, 1×1 c → c/2, ReLU, 3×3 mask B, ReLU, 1×1 c/2 → c, and the identity beside them (figure 5 of the paper)."""

    def __init__(self, channels: int, dropout: float = 0.0) -> None:
        super().__init__()
        half = channels // 2
        self.reduce = nn.Conv2d(channels, half, 1)
        self.conv = MaskedConv2d("B", half, half, 3)
        self.expand = nn.Conv2d(half, channels, 1)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.expand(self.dropout(F.relu(self.conv(F.relu(self.reduce(F.relu(x)))))))


class PixelCNN(nn.Module):
    """7×7 mask A, `blocks` residual blocks, then ReLU 1×1 ReLU 1×1 to `levels` logits a pixel.

    levels: categories of a pixel. channels: even; the blocks work on half of them. head_channels: default `channels`.
    classes: labels, which add to the first layer's channels; 0 gives an unconditional model, called without `label`.
    augmentations: see `genfast.zoo.gated.GatedPixelCNN`.
    forward: x (n, 1, H, W) float, levels scaled to [0, 1]; label (n,) int64 → logits (n, levels, H, W).
    """

    def __init__(
        self,
        levels: int = 256,
        channels: int = 64,
        blocks: int = 8,
        head_channels: int | None = None,
        classes: int = 0,
        augmentations: int = 0,
        dropout: float = 0.0,
    ) -> None:
        if channels < 2 or channels % 2:
            raise ValueError(f"channels must be even and positive, got {channels}")
        super().__init__()
        head = head_channels or channels
        self.first = MaskedConv2d("A", 1, channels, 7)
        self.blocks = nn.Sequential(*(ResidualBlock(channels, dropout) for _ in range(blocks)))
        self.head = nn.Conv2d(channels, head, 1)
        self.logits = nn.Conv2d(head, levels, 1)
        self.label = nn.Embedding(classes, channels) if classes else None
        self.augmentation = nn.Embedding(augmentations, channels, padding_idx=0) if augmentations else None
        for table in (self.label, self.augmentation):
            if table is not None:
                nn.init.zeros_(table.weight)

    def forward(self, x: Tensor, label: Tensor | None = None, augmentation: Tensor | None = None) -> Tensor:
        h = self.first(x)
        for table, index in ((self.label, label), (self.augmentation, augmentation)):
            if table is not None and index is not None:
                h = h + table(index)[:, :, None, None]
        return self.logits(F.relu(self.head(F.relu(self.blocks(h)))))
