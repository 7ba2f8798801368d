"""Networks of sequences without attention: WaveNet (van den Oord et al., 2016), temporal convolutions, LSTM and GRU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class CausalConv1d(nn.Conv1d):
    """Padding on both sides, the right end cut off (a chomp)."""

    def __init__(self, c_in, c_out, kernel, dilation=1, **kwargs):
        self.chomp = (kernel - 1) * dilation
        super().__init__(c_in, c_out, kernel, padding=self.chomp, dilation=dilation, **kwargs)

    def forward(self, x):
        y = super().forward(x)
        return y[:, :, : -self.chomp] if self.chomp else y


class WaveNetBlock(nn.Module):
    def __init__(self, c, skip, dilation):
        super().__init__()
        self.filter, self.gate = CausalConv1d(c, c, 2, dilation), CausalConv1d(c, c, 2, dilation)
        self.res, self.skip = nn.Conv1d(c, c, 1), nn.Conv1d(c, skip, 1)

    def forward(self, x):
        z = torch.tanh(self.filter(x)) * torch.sigmoid(self.gate(x))
        return self.res(z) + x, self.skip(z)


class WaveNet(nn.Module):
    """Mu-law levels, one-hot in forward, dilations 1, 2, 4, twice.

    forward: x (B, T) int64 → logits (B, levels, T). With `shifted`, output p predicts sample p; else sample p + 1.
    """

    def __init__(self, levels=8, c=6, skip=8, shifted=True):
        super().__init__()
        self.levels, self.shifted = levels, shifted
        self.start = CausalConv1d(levels, c, 2, bias=False)
        self.blocks = nn.ModuleList([WaveNetBlock(c, skip, 2**i) for _ in range(2) for i in range(3)])
        self.end1, self.end2 = nn.Conv1d(skip, skip, 1), nn.Conv1d(skip, levels, 1)

    def forward(self, x):
        x = F.one_hot(x, self.levels).float().transpose(1, 2)
        if self.shifted:
            x = F.pad(x, (1, 0))[:, :, :-1]
        x, skips = self.start(x), []
        for block in self.blocks:
            x, skip = block(x)
            skips.append(skip)
        return self.end2(F.relu(self.end1(F.relu(sum(skips)))))


class RawWaveNet(nn.Module):
    """Samples (B, 1, T) as floats in [-1, 1], raw waveform in, logits (B, levels, T) out."""

    def __init__(self, levels=8, c=6, skip=8):
        super().__init__()
        self.net = WaveNet(levels, c, skip)
        self.net.start = CausalConv1d(1, c, 2)

    def forward(self, x):
        x, skips = self.net.start(F.pad(x, (1, -1))), []
        for block in self.net.blocks:
            x, skip = block(x)
            skips.append(skip)
        return self.net.end2(F.relu(self.net.end1(F.relu(torch.stack(skips).sum(0)))))


class CharRNN(nn.Module):
    """forward: x (B, T) int64 and a hidden state or None → logits (B, T, V) and the new state. Predicts token p + 1.

    cell: "LSTM", "GRU" or "RNN"; states start at zero, from torch itself or, with `own_state`, as a tensor made here.
    """

    def __init__(self, cell="LSTM", vocab=7, c=6, hidden=8, layers=2, batch_first=True, own_state=False):
        super().__init__()
        self.batch_first, self.own_state, self.cell = batch_first, own_state, cell
        self.layers, self.hidden = layers, hidden
        self.encoder = nn.Embedding(vocab, c)
        self.rnn = getattr(nn, cell)(c, hidden, num_layers=layers, batch_first=batch_first, dropout=0.2)
        self.fc = nn.Linear(hidden, vocab)

    def init_hidden(self, batch):
        zeros = torch.zeros(self.layers, batch, self.hidden)
        return (zeros, zeros.clone()) if self.cell == "LSTM" else zeros

    def forward(self, x, hidden=None):
        if hidden is None and self.own_state:
            hidden = self.init_hidden(x.shape[0])
        embedded = self.encoder(x)
        if not self.batch_first:
            embedded = embedded.transpose(0, 1)
        out, hidden = self.rnn(embedded, hidden)
        if not self.batch_first:
            out = out.transpose(0, 1)
        return self.fc(out), hidden


class CellLoop(nn.Module):
    """An LSTMCell called in a Python loop, outputs stacked; the token before is fed, so output p predicts token p."""

    def __init__(self, vocab=6, c=5, hidden=7):
        super().__init__()
        self.embed, self.cell, self.fc = nn.Embedding(vocab + 1, c), nn.LSTMCell(c, hidden), nn.Linear(hidden, vocab)
        self.start, self.hidden = vocab, hidden

    def forward(self, x):
        tokens = F.pad(x, (1, 0), value=self.start)[:, :-1]
        h, c = torch.zeros(x.shape[0], self.hidden), torch.zeros(x.shape[0], self.hidden)
        out = []
        for t in range(tokens.shape[1]):
            h, c = self.cell(self.embed(tokens[:, t]), (h, c))
            out.append(self.fc(h))
        return torch.stack(out, dim=1)


class EMA(nn.Module):
    """A running mean of the past by cumsum, and a GRU over it."""

    def __init__(self, vocab=6, c=6):
        super().__init__()
        self.embed, self.mix, self.fc = nn.Embedding(vocab, c), nn.Linear(2 * c, c), nn.Linear(c, vocab)

    def forward(self, x):
        e = self.embed(x)
        mean = e.cumsum(1) / torch.arange(1, x.shape[1] + 1).view(1, -1, 1)
        return self.fc(F.gelu(self.mix(torch.cat([e, mean], -1))))
