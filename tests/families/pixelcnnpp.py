"""PixelCNN++ (Salimans et al., 2017): shift-and-pad convolutions, strided levels, concat-ELU, weight norm, RGB."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


def concat_elu(x):
    return F.elu(torch.cat([x, -x], dim=len(x.size()) - 3))


def down_shift(x, pad):
    return pad(x[:, :, :-1, :])


def right_shift(x, pad):
    return pad(x[:, :, :, :-1])


def normed(layer, old):
    return nn.utils.weight_norm(layer) if old else nn.utils.parametrizations.weight_norm(layer)


class Nin(nn.Module):
    """Network in network: a Linear over the channels, by permuting NCHW to rows and back."""

    def __init__(self, c_in, c_out, old=True):
        super().__init__()
        self.linear = normed(nn.Linear(c_in, c_out), old)
        self.c_out = c_out

    def forward(self, x):
        x = x.permute(0, 2, 3, 1)
        shape = list(x.size())
        out = self.linear(x.contiguous().view(shape[0] * shape[1] * shape[2], shape[3]))
        shape[-1] = self.c_out
        return out.view(shape).permute(0, 3, 1, 2)


class DownShifted(nn.Module):
    """Sees its own row and those above: padding left, right and on top."""

    def __init__(self, c_in, c_out, kernel=(2, 3), stride=(1, 1), shift=False, old=True):
        super().__init__()
        self.pad = nn.ZeroPad2d(((kernel[1] - 1) // 2, (kernel[1] - 1) // 2, kernel[0] - 1, 0))
        self.conv = normed(nn.Conv2d(c_in, c_out, kernel, stride), old)
        self.shift, self.top = shift, nn.ZeroPad2d((0, 0, 1, 0))

    def forward(self, x):
        x = self.conv(self.pad(x))
        return down_shift(x, self.top) if self.shift else x


class DownRightShifted(nn.Module):
    """Sees its own pixel, those to its left and those above."""

    def __init__(self, c_in, c_out, kernel=(2, 2), stride=(1, 1), shift=False, old=True):
        super().__init__()
        self.pad = nn.ZeroPad2d((kernel[1] - 1, 0, kernel[0] - 1, 0))
        self.conv = normed(nn.Conv2d(c_in, c_out, kernel, stride), old)
        self.shift, self.left = shift, nn.ZeroPad2d((1, 0, 0, 0))

    def forward(self, x):
        x = self.conv(self.pad(x))
        return right_shift(x, self.left) if self.shift else x


class DownShiftedUp(nn.Module):
    def __init__(self, c_in, c_out, kernel=(2, 3), stride=(2, 2)):
        super().__init__()
        self.deconv = nn.utils.weight_norm(nn.ConvTranspose2d(c_in, c_out, kernel, stride, output_padding=1))
        self.kernel = kernel

    def forward(self, x):
        x = self.deconv(x)
        height, width = x.shape[2:]
        side = (self.kernel[1] - 1) // 2
        return x[:, :, : height - self.kernel[0] + 1, side : width - side]


class DownRightShiftedUp(nn.Module):
    def __init__(self, c_in, c_out, kernel=(2, 2), stride=(2, 2)):
        super().__init__()
        self.deconv = nn.utils.weight_norm(nn.ConvTranspose2d(c_in, c_out, kernel, stride, output_padding=1))
        self.kernel = kernel

    def forward(self, x):
        x = self.deconv(x)
        height, width = x.shape[2:]
        return x[:, :, : height - self.kernel[0] + 1, : width - self.kernel[1] + 1]


class GatedResnet(nn.Module):
    def __init__(self, c, conv, skip=0):
        super().__init__()
        self.skip = skip
        self.conv_input = conv(2 * c, c)
        if skip:
            self.nin_skip = Nin(2 * skip * c, c)
        self.dropout = nn.Dropout2d(0.5)
        self.conv_out = conv(2 * c, 2 * c)

    def forward(self, og_x, a=None):
        x = self.conv_input(concat_elu(og_x))
        if a is not None:
            x += self.nin_skip(concat_elu(a))
        x = self.dropout(concat_elu(x))
        a, b = torch.chunk(self.conv_out(x), 2, dim=1)
        return og_x + a * F.sigmoid(b)


class UpPass(nn.Module):
    def __init__(self, resnets, c):
        super().__init__()
        self.u_stream = nn.ModuleList([GatedResnet(c, DownShifted) for _ in range(resnets)])
        self.ul_stream = nn.ModuleList([GatedResnet(c, DownRightShifted, skip=1) for _ in range(resnets)])

    def forward(self, u, ul):
        us, uls = [], []
        for u_layer, ul_layer in zip(self.u_stream, self.ul_stream, strict=True):
            u = u_layer(u)
            ul = ul_layer(ul, a=u)
            us += [u]
            uls += [ul]
        return us, uls


class DownPass(nn.Module):
    def __init__(self, resnets, c):
        super().__init__()
        self.u_stream = nn.ModuleList([GatedResnet(c, DownShifted, skip=1) for _ in range(resnets)])
        self.ul_stream = nn.ModuleList([GatedResnet(c, DownRightShifted, skip=2) for _ in range(resnets)])

    def forward(self, u, ul, us, uls):
        for u_layer, ul_layer in zip(self.u_stream, self.ul_stream, strict=True):
            u = u_layer(u, a=us.pop())
            ul = ul_layer(ul, a=torch.cat((u, uls.pop()), 1))
        return u, ul


class PixelCNNPP(nn.Module):
    """forward: x (B, 3, H, W) in [-1, 1] → (B, 10 · mixtures, H, W), or 3 · mixtures for one channel."""

    def __init__(self, resnets=1, c=6, mixtures=2, levels=2, channels=3):
        super().__init__()
        self.levels = levels
        self.down_layers = nn.ModuleList([DownPass(resnets + (i > 0), c) for i in range(levels)])
        self.up_layers = nn.ModuleList([UpPass(resnets, c) for _ in range(levels)])
        self.downsize_u = nn.ModuleList([DownShifted(c, c, stride=(2, 2)) for _ in range(levels - 1)])
        self.downsize_ul = nn.ModuleList([DownRightShifted(c, c, stride=(2, 2)) for _ in range(levels - 1)])
        self.upsize_u = nn.ModuleList([DownShiftedUp(c, c) for _ in range(levels - 1)])
        self.upsize_ul = nn.ModuleList([DownRightShiftedUp(c, c) for _ in range(levels - 1)])
        self.u_init = DownShifted(channels + 1, c, kernel=(2, 3), shift=True, old=False)
        self.ul_init = nn.ModuleList(
            [
                DownShifted(channels + 1, c, kernel=(1, 3), shift=True),
                DownRightShifted(channels + 1, c, kernel=(2, 1), shift=True),
            ]
        )
        self.nin_out = Nin(c, mixtures * (10 if channels == 3 else 3), old=False)
        self.init_padding = None

    def forward(self, x, sample=False):
        if self.init_padding is None and not sample:
            size = [int(side) for side in x.size()]
            self.init_padding = torch.ones(size[0], 1, size[2], size[3])
        if sample or self.init_padding.shape[0] != x.shape[0]:
            padding = torch.ones(x.shape[0], 1, x.shape[2], x.shape[3])
            x = torch.cat((x, padding), 1)
        else:
            x = torch.cat((x, self.init_padding), 1)

        u_list = [self.u_init(x)]
        ul_list = [self.ul_init[0](x) + self.ul_init[1](x)]
        for i in range(self.levels):
            us, uls = self.up_layers[i](u_list[-1], ul_list[-1])
            u_list += us
            ul_list += uls
            if i != self.levels - 1:
                u_list += [self.downsize_u[i](u_list[-1])]
                ul_list += [self.downsize_ul[i](ul_list[-1])]

        u, ul = u_list.pop(), ul_list.pop()
        for i in range(self.levels):
            u, ul = self.down_layers[i](u, ul, u_list, ul_list)
            if i != self.levels - 1:
                u, ul = self.upsize_u[i](u), self.upsize_ul[i](ul)
        assert len(u_list) == len(ul_list) == 0
        return self.nin_out(F.elu(ul))
