"""Small convolutional networks between images and codes, of any size: what the autoencoders and the GANs are made of.

Strided convolutions down, transposed ones up, BatchNorm where asked for: Radford, Metz & Chintala, "Unsupervised
Representation Learning with Deep Convolutional Generative Adversarial Networks", ICLR 2016.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

LABEL_CHANNELS = 8


class Encoder(nn.Module):
    """Images to vectors: a 3×3 convolution, two 4×4 ones of stride 2, one linear layer.

    classes: labels, whose embedding the linear layer reads too; 0 gives a network without them.
    forward: x (n, 1, H, W) float; label (n,) int64 → (n, outputs).
    """

    def __init__(self, height: int, width: int, outputs: int, channels: int = 16, classes: int = 0) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(2 * channels, 2 * channels, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
        )
        self.label = nn.Embedding(classes, LABEL_CHANNELS) if classes else None
        features = 2 * channels * (height // 4) * (width // 4)
        self.out = nn.Linear(features + (LABEL_CHANNELS if classes else 0), outputs)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        features = self.layers(x)
        if self.label is not None:
            features = torch.cat([features, self.label(label)], 1)
        return self.out(features)


class Decoder(nn.Module):
    """Codes to images: one linear layer, two transposed convolutions of stride 2, a 3×3 convolution and a sigmoid.

    classes: labels, whose embedding is appended to the code; 0 gives a network without them. norm: BatchNorm and ReLU
    between the layers (DCGAN), else SiLU. An image whose side is no multiple of 4 is cut from a larger one.
    forward: z (n, code) float; label (n,) int64 → (n, 1, H, W) in (0, 1).
    """

    def __init__(
        self, height: int, width: int, code: int, channels: int = 16, classes: int = 0, norm: bool = False
    ) -> None:
        super().__init__()
        self.size = height, width
        self.start = 2 * channels, -(-height // 4), -(-width // 4)
        self.label = nn.Embedding(classes, LABEL_CHANNELS) if classes else None
        deep, high, wide = self.start
        self.input = nn.Linear(code + (LABEL_CHANNELS if classes else 0), deep * high * wide)

        def between(count: int) -> list[nn.Module]:
            return [nn.BatchNorm2d(count), nn.ReLU()] if norm else [nn.SiLU()]

        self.layers = nn.Sequential(
            *between(2 * channels),
            nn.ConvTranspose2d(2 * channels, 2 * channels, 4, stride=2, padding=1, bias=not norm),
            *between(2 * channels),
            nn.ConvTranspose2d(2 * channels, channels, 4, stride=2, padding=1, bias=not norm),
            *between(channels),
            nn.Conv2d(channels, 1, 3, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        if self.label is not None:
            z = torch.cat([z, self.label(label)], 1)
        height, width = self.size
        return self.layers(self.input(z).unflatten(1, self.start))[:, :, :height, :width]
