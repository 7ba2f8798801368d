"""Decoders, generators, encoders and classifiers as public repositories write them, made small.

None is copied: each follows the architecture and the spelling of its kind.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm


class DCGAN(nn.Module):
    """Radford et al. 2016 in the style of PyTorch's example: one `main`, no biases, BatchNorm; z (B, nz, 1, 1)."""

    def __init__(self, nz=12, ngf=4, nc=3, inplace=True):
        super().__init__()
        layers, c = [], ngf * 4
        layers += [nn.ConvTranspose2d(nz, c, 4, 1, 0, bias=False), nn.BatchNorm2d(c), nn.ReLU(inplace)]
        for _ in range(2):
            layers += [nn.ConvTranspose2d(c, c // 2, 4, 2, 1, bias=False), nn.BatchNorm2d(c // 2), nn.ReLU(inplace)]
            c //= 2
        layers += [nn.ConvTranspose2d(c, nc, 4, 2, 1, bias=False), nn.Tanh()]
        self.main = nn.Sequential(*layers)

    def forward(self, input):
        return self.main(input)


class Discriminator(nn.Module):
    """The other half: strided convolutions and leaky ReLUs, a sigmoid flattened to (B,)."""

    def __init__(self, nc=1, ndf=4):
        super().__init__()
        self.main = nn.Sequential(
            spectral_norm(nn.Conv2d(nc, ndf, 4, 2, 1, bias=False)), nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf, ndf * 2, 4, 2, 1, bias=False), nn.BatchNorm2d(ndf * 2), nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf * 2, 1, 2, 1, 0, bias=False), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x):
        return self.main(x).view(-1, 1).squeeze(1)


class ConditionalGAN(nn.Module):
    """Mirza & Osindero 2014: an embedded label joined to z, or multiplied with it; linear layers with BatchNorm1d."""

    def __init__(self, times=False, classes=5, nz=8, shape=(1, 6, 6)):
        super().__init__()
        self.times, self.shape = times, shape
        self.label_emb = nn.Embedding(classes, nz if times else classes)

        def block(i, o, normalize=True):
            layers = [nn.Linear(i, o)]
            if normalize:
                layers.append(nn.BatchNorm1d(o, 0.8))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            return layers

        size = shape[0] * shape[1] * shape[2]
        first = nz if times else nz + classes
        self.model = nn.Sequential(*block(first, 16, False), *block(16, 24), nn.Linear(24, size), nn.Tanh())

    def forward(self, noise, labels):
        e = self.label_emb(labels)
        x = torch.mul(e, noise) if self.times else torch.cat((e, noise), -1)
        return self.model(x).view(x.size(0), *self.shape)


class ACGAN(nn.Module):
    """Odena et al. 2017 as widely written: embedding * z, a linear layer viewed as an image, upsampling blocks."""

    def __init__(self, classes=4, nz=6, c=16, size=3):
        super().__init__()
        self.emb, self.size, self.c = nn.Embedding(classes, nz), size, c
        self.l1 = nn.Sequential(nn.Linear(nz, c * size**2))
        self.conv_blocks = nn.Sequential(
            nn.BatchNorm2d(c),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(c, c, 3, stride=1, padding=1), nn.BatchNorm2d(c, 0.8), nn.LeakyReLU(0.2, inplace=True),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(c, c // 2, 3, stride=1, padding=1), nn.BatchNorm2d(c // 2, 0.8), nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(c // 2, 1, 3, stride=1, padding=1), nn.Tanh(),
        )  # fmt: skip

    def forward(self, noise, labels):
        gen_input = torch.mul(self.emb(labels), noise)
        out = self.l1(gen_input)
        out = out.view(out.shape[0], self.c, self.size, self.size)
        return self.conv_blocks(out)


class LabelMaps(nn.Module):
    """A one-hot label as planes beside the image (a conditional encoder), a second one embedded as a whole plane."""

    def __init__(self, classes=4, size=6):
        super().__init__()
        self.classes, self.size = classes, size
        self.plane = nn.Embedding(classes, size * size)
        self.conv = nn.Sequential(nn.Conv2d(1 + classes + 1, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 2, 3, 2))

    def forward(self, x, label):
        onehot = F.one_hot(label, self.classes).float()
        planes = onehot[:, :, None, None].expand(-1, -1, self.size, self.size)
        return self.conv(torch.cat([x, planes, self.plane(label).view(-1, 1, self.size, self.size)], 1))


class UpBlock(nn.Module):
    """The residual block of the WGAN-GP generator: BatchNorm first, upsampling in both branches."""

    def __init__(self, i, o):
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(i), nn.BatchNorm2d(o)
        self.conv1, self.conv2 = nn.Conv2d(i, o, 3, padding=1, bias=False), nn.Conv2d(o, o, 3, padding=1)
        self.shortcut = nn.Conv2d(i, o, 1)

    def forward(self, x):
        h = F.interpolate(F.relu(self.bn1(x)), scale_factor=2, mode="nearest")
        h = self.conv2(F.relu(self.bn2(self.conv1(h))))
        return h + self.shortcut(F.interpolate(x, scale_factor=2, mode="nearest"))


class WGANGP(nn.Module):
    """Gulrajani et al. 2017: the ResNet generator."""

    def __init__(self, nz=10, c=8):
        super().__init__()
        self.c, self.linear = c, nn.Linear(nz, 3 * 3 * c)
        self.blocks = nn.Sequential(UpBlock(c, c), UpBlock(c, c))
        self.bn, self.out = nn.BatchNorm2d(c), nn.Conv2d(c, 3, 3, padding=1)

    def forward(self, z):
        h = self.blocks(self.linear(z).reshape(-1, self.c, 3, 3))
        return torch.tanh(self.out(F.relu(self.bn(h))))


class ConditionalBatchNorm(nn.Module):
    """de Vries et al. 2017: gain and bias from the label's embedding."""

    def __init__(self, c, classes):
        super().__init__()
        self.c, self.bn, self.embed = c, nn.BatchNorm2d(c, affine=False), nn.Embedding(classes, c * 2)

    def forward(self, x, y):
        gamma, beta = self.embed(y).chunk(2, 1)
        return gamma.view(-1, self.c, 1, 1) * self.bn(x) + beta.view(-1, self.c, 1, 1)


class SelfAttention(nn.Module):
    """SAGAN's block (Zhang et al. 2019): 1 × 1 convolutions, keys pooled, softmax over all positions, a learnt gain."""

    def __init__(self, c, pool=True):
        super().__init__()
        sn, self.pool = parametrizations.spectral_norm, pool
        self.theta, self.phi = sn(nn.Conv2d(c, c // 4, 1, bias=False)), sn(nn.Conv2d(c, c // 4, 1, bias=False))
        self.g, self.o = sn(nn.Conv2d(c, c // 2, 1, bias=False)), sn(nn.Conv2d(c // 2, c, 1, bias=False))
        self.gamma = nn.Parameter(torch.tensor(0.7))

    def forward(self, x):
        n, c, h, w = x.shape
        theta, phi, g = self.theta(x), self.phi(x), self.g(x)
        if self.pool:
            phi, g = F.max_pool2d(phi, 2), F.max_pool2d(g, 2)
        theta, phi, g = theta.view(n, -1, h * w), phi.view(n, c // 4, -1), g.view(n, c // 2, -1)
        beta = F.softmax(torch.bmm(theta.transpose(1, 2), phi), -1)
        o = self.o(torch.bmm(g, beta.transpose(1, 2)).view(-1, c // 2, h, w))
        return self.gamma * o + x


class SAGAN(nn.Module):
    """A generator with class-conditional BatchNorm and self-attention."""

    def __init__(self, nz=6, c=8, classes=3, pool=True):
        super().__init__()
        self.c, self.linear = c, nn.utils.spectral_norm(nn.Linear(nz, c * 4))
        self.bn1, self.bn2 = ConditionalBatchNorm(c, classes), ConditionalBatchNorm(c, classes)
        self.up, self.conv = nn.ConvTranspose2d(c, c, 4, 2, 1), nn.Conv2d(c, 3, 3, padding=1)
        self.attention = SelfAttention(c, pool)

    def forward(self, z, y):
        h = self.linear(z).view(-1, self.c, 2, 2)
        h = self.up(F.relu(self.bn1(h, y)))
        return torch.tanh(self.conv(F.relu(self.bn2(self.attention(h), y))))


class PixelNorm(nn.Module):
    def forward(self, x):
        return x / torch.sqrt(torch.mean(x**2, dim=1, keepdim=True) + 1e-8)


class StyleGAN(nn.Module):
    """Karras et al. 2019 in little: a mapping network, a constant input, AdaIN, bilinear upsampling, fixed noise."""

    def __init__(self, nz=8, w=8, c=6):
        super().__init__()
        self.mapping = nn.Sequential(
            PixelNorm(), nn.Linear(nz, w), nn.LeakyReLU(0.2), nn.Linear(w, w), nn.LeakyReLU(0.2)
        )
        self.start = nn.Parameter(torch.randn(1, c, 4, 4))
        self.convs = nn.ModuleList([nn.Conv2d(c, c, 3, padding=1) for _ in range(2)])
        self.styles = nn.ModuleList([nn.Linear(w, 2 * c) for _ in range(2)])
        self.register_buffer("noise", torch.randn(1, 1, 4, 4))
        self.rgb = nn.Conv2d(c, 3, 1)

    def adain(self, x, style):
        style = style.unsqueeze(2).unsqueeze(3)
        gamma, beta = style.chunk(2, 1)
        return (1 + gamma) * F.instance_norm(x) + beta

    def forward(self, z):
        w = self.mapping(z)
        x = self.start.repeat(z.shape[0], 1, 1, 1)
        x = self.adain(F.leaky_relu(self.convs[0](x) + 0.1 * self.noise, 0.2), self.styles[0](w))
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        x = self.adain(F.leaky_relu(self.convs[1](x), 0.2), self.styles[1](w))
        return self.rgb(x)


class VAEDecoder(nn.Module):
    """The decoder of PyTorch's VAE example: two linear layers and a sigmoid; `image`: viewed as one."""

    def __init__(self, latent=5, hidden=16, size=6, image=False):
        super().__init__()
        self.fc3, self.fc4 = nn.Linear(latent, hidden), nn.Linear(hidden, size * size)
        self.size, self.image = size, image

    def forward(self, z):
        h3 = F.relu(self.fc3(z))
        out = torch.sigmoid(self.fc4(h3))
        return out.view(-1, 1, self.size, self.size) if self.image else out


class VAEEncoder(nn.Module):
    """Its encoder: the means first, then the log-variances."""

    def __init__(self, latent=5, hidden=16, size=6):
        super().__init__()
        self.fc1, self.fc21, self.fc22 = (
            nn.Linear(size * size, hidden),
            nn.Linear(hidden, latent),
            nn.Linear(hidden, latent),
        )

    def forward(self, x):
        h1 = F.relu(self.fc1(x.view(-1, self.fc1.in_features)))
        return self.fc21(h1), self.fc22(h1)


class VAE(nn.Module):
    """The whole, which draws its code itself: refused."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = VAEEncoder(), VAEDecoder()

    def reparameterize(self, mu, logvar):
        return mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)

    def forward(self, x):
        return self.decoder(self.reparameterize(*self.encoder(x)))


class ConvVAEDecoder(nn.Module):
    """A convolutional VAE's decoder: `decoder_input`, transposed convolutions with output padding, a last layer."""

    def __init__(self, latent=6, hidden=(12, 8, 6)):
        super().__init__()
        self.hidden, self.decoder_input = hidden, nn.Linear(latent, hidden[0] * 4)
        self.decoder = nn.Sequential(
            *(
                nn.Sequential(
                    nn.ConvTranspose2d(i, o, kernel_size=3, stride=2, padding=1, output_padding=1),
                    nn.BatchNorm2d(o),
                    nn.LeakyReLU(),
                )
                for i, o in itertools.pairwise(hidden)
            )
        )
        self.final_layer = nn.Sequential(nn.Conv2d(hidden[-1], 3, 3, padding=1), nn.Tanh())

    def forward(self, z):
        result = self.decoder_input(z).view(-1, self.hidden[0], 2, 2)
        return self.final_layer(self.decoder(result))


class Residual(nn.Module):
    def __init__(self, c, hidden):
        super().__init__()
        self.block = nn.Sequential(
            nn.ReLU(False), nn.Conv2d(c, hidden, 3, padding=1, bias=False),
            nn.ReLU(True), nn.Conv2d(hidden, c, 1, bias=False)
        )  # fmt: skip

    def forward(self, x):
        return x + self.block(x)


class VQVAE(nn.Module):
    """van den Oord et al. 2017: `codes` (B, H, W) are embedded and decoded; images are encoded to the nearest code."""

    def __init__(self, codes=7, dim=4, c=8, encode=False):
        super().__init__()
        self.embedding, self.encode = nn.Embedding(codes, dim), encode
        self.encoder = nn.Sequential(
            nn.Conv2d(1, c, 4, 2, 1), nn.ReLU(), nn.Conv2d(c, c, 3, 1, 1), Residual(c, 4), nn.ReLU(),
            nn.Conv2d(c, dim, 1),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Conv2d(dim, c, 3, padding=1), Residual(c, 4), nn.ReLU(), nn.ConvTranspose2d(c, 1, 4, 2, 1)
        )

    def nearest(self, x):
        z = self.encoder(x).permute(0, 2, 3, 1).contiguous()
        flat = z.view(-1, z.shape[-1])
        e = self.embedding.weight
        distances = flat.pow(2).sum(1, keepdim=True) + e.pow(2).sum(1) - 2 * torch.matmul(flat, e.t())
        return torch.argmin(distances, dim=1).view(z.shape[:-1])

    def forward(self, x):
        codes = self.nearest(x) if self.encode else x
        return self.decoder(self.embedding(codes).permute(0, 3, 1, 2))


class DoubleConv(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU(inplace=True),
            nn.Conv2d(o, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU(inplace=True),
        )  # fmt: skip

    def forward(self, x):
        return self.double_conv(x)


class UNet(nn.Module):
    """Ronneberger et al. 2015, image to image: skips, odd sizes padded, bilinear or transposed upsampling."""

    def __init__(self, c=4, bilinear=True):
        super().__init__()
        self.inc, self.outc = DoubleConv(1, c), nn.Conv2d(c, 2, 1)
        self.down = nn.Sequential(nn.MaxPool2d(2), DoubleConv(c, 2 * c))
        if bilinear:
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        else:
            self.up = nn.ConvTranspose2d(2 * c, 2 * c, 2, stride=2)
        self.conv = DoubleConv(3 * c, c)

    def forward(self, x):
        x1 = self.inc(x)
        x2 = self.up(self.down(x1))
        dy, dx = x1.size(2) - x2.size(2), x1.size(3) - x2.size(3)
        x2 = F.pad(x2, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])
        return self.outc(self.conv(torch.cat([x1, x2], dim=1)))


class BasicBlock(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
        self.relu, self.downsample = nn.ReLU(inplace=True), None
        if stride != 1 or i != o:
            self.downsample = nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    """He et al. 2016 as torchvision writes ResNet-18, two stages of it."""

    def __init__(self, c=4, classes=5):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, c, 7, 2, 3, bias=False), nn.BatchNorm2d(c)
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(BasicBlock(c, c, 1), BasicBlock(c, c, 1))
        self.layer2 = nn.Sequential(BasicBlock(c, 2 * c, 2), BasicBlock(2 * c, 2 * c, 1))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(2 * c, classes)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = torch.flatten(self.avgpool(self.layer2(self.layer1(x))), 1)
        return self.fc(x)


class InvertedResidual(nn.Module):
    """MobileNetV2's (Sandler et al. 2018), with a squeeze-and-excitation (Hu et al. 2018) as in V3."""

    def __init__(self, i, o, stride, expand):
        super().__init__()
        h = i * expand
        self.same = stride == 1 and i == o
        self.conv = nn.Sequential(
            nn.Conv2d(i, h, 1, bias=False), nn.BatchNorm2d(h), nn.ReLU6(inplace=True),
            nn.Conv2d(h, h, 3, stride, 1, groups=h, bias=False), nn.BatchNorm2d(h), nn.ReLU6(inplace=True),
        )  # fmt: skip
        self.squeeze = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(h, 4, 1), nn.ReLU(), nn.Conv2d(4, h, 1), nn.Hardsigmoid()
        )
        self.project = nn.Sequential(nn.Conv2d(h, o, 1, bias=False), nn.BatchNorm2d(o))

    def forward(self, x):
        h = self.conv(x)
        out = self.project(h * self.squeeze(h))
        return x + out if self.same else out


class MobileNet(nn.Module):
    def __init__(self, classes=5, c=4):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, c, 3, 2, 1, bias=False), nn.BatchNorm2d(c), nn.Hardswish(),
            InvertedResidual(c, c, 1, 5), InvertedResidual(c, 2 * c, 2, 3),
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(2 * c, classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean([2, 3]))


class ViT(nn.Module):
    """Dosovitskiy et al. 2021 with PyTorch's own encoder; `text`: token ids instead of patches, averaged at the end."""

    def __init__(self, size=8, patch=4, d=8, classes=3, text=0):
        super().__init__()
        self.text = text
        if text:
            self.tokens = nn.Embedding(text, d)
        else:
            self.patches = nn.Conv2d(1, d, patch, patch)
            self.cls = nn.Parameter(torch.randn(1, 1, d))
        self.position = nn.Parameter(torch.randn(1, (size // patch) ** 2 + (0 if text else 1), d))
        layer = nn.TransformerEncoderLayer(d, 2, 16, 0.1, activation="gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.LayerNorm(d), nn.Linear(d, classes))

    def forward(self, x):
        if self.text:
            return self.head(self.encoder(self.tokens(x) + self.position).mean(1))
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], 1)
        return self.head(self.encoder(x + self.position)[:, 0])


class LatentTokens(nn.Module):
    """A decoder of latent tokens (B, T, E) by transformer layers, whose outputs are patches of an image."""

    def __init__(self, t=4, e=6, patch=3):
        super().__init__()
        self.attention, self.patch = nn.MultiheadAttention(e, 2, batch_first=True), patch
        self.norm, self.out = nn.LayerNorm(e), nn.Linear(e, patch * patch)

    def forward(self, z):
        z = z + self.attention(self.norm(z), self.norm(z), self.norm(z), need_weights=False)[0]
        p = self.out(z).view(-1, 2, 2, self.patch, self.patch)
        return p.permute(0, 1, 3, 2, 4).reshape(-1, 1, 2 * self.patch, 2 * self.patch)


class WaveGAN(nn.Module):
    """Donahue et al. 2019: audio (B, 1, L) by transposed 1-d convolutions."""

    def __init__(self, nz=6, c=8):
        super().__init__()
        self.c, self.fc = c, nn.Linear(nz, 4 * c)
        self.net = nn.Sequential(
            nn.ConvTranspose1d(c, c // 2, 8, 4, 2), nn.ReLU(),
            nn.ConvTranspose1d(c // 2, 1, 7, 2, 3, output_padding=1), nn.Tanh(),
        )  # fmt: skip

    def forward(self, z):
        return self.net(F.relu(self.fc(z).view(-1, self.c, 4)))


class SuperResolution(nn.Module):
    """EDSR's shape (Lim et al. 2017): residual blocks, pixel shuffle, a bicubic shortcut."""

    def __init__(self, c=4):
        super().__init__()
        self.head, self.act = nn.Conv2d(1, c, 3, padding=1, padding_mode="reflect"), nn.PReLU(c)
        self.body, self.up = Residual(c, c), nn.Sequential(nn.Conv2d(c, c * 4, 3, padding=1), nn.PixelShuffle(2))
        self.tail = nn.Conv2d(c, 1, 3, padding=1)

    def forward(self, x):
        up = F.interpolate(x, scale_factor=2, mode="bicubic", align_corners=False)
        return self.tail(self.up(self.body(self.act(self.head(x))))) + up


class DiffusionBlock(nn.Module):
    """A U-Net block of denoising models: GroupNorm, SiLU, FiLM by a condition, multi-head attention over positions."""

    def __init__(self, c=8, d=5):
        super().__init__()
        self.inp, self.norm1, self.norm2 = nn.Conv2d(2, c, 3, padding=1), nn.GroupNorm(2, c), nn.GroupNorm(4, c)
        self.conv1, self.film = nn.Conv2d(c, c, 3, padding=1), nn.Linear(d, 2 * c)
        self.qkv, self.proj, self.heads = nn.Conv1d(c, 3 * c, 1), nn.Conv1d(c, c, 1), 2

    def forward(self, x, cond):
        x = self.inp(x)
        h = self.norm1(self.conv1(F.silu(x)))
        scale, shift = self.film(cond)[:, :, None, None].chunk(2, 1)
        h = x + F.silu(h * (1 + scale) + shift)
        n, c, height, width = h.shape
        q, k, v = self.qkv(self.norm2(h).reshape(n, c, -1)).reshape(n * self.heads, 3 * c // self.heads, -1).chunk(3, 1)
        weight = torch.softmax(torch.einsum("bct,bcs->bts", q, k) * (c // self.heads) ** -0.5, -1)
        out = torch.einsum("bts,bcs->bct", weight, v).reshape(n, c, -1)
        return h + self.proj(out).reshape(n, c, height, width)
