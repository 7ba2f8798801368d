"""Global state of torch, set for a while and put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def quiet_torch() -> Iterator[None]:
    """No gradients and no distribution checks inside; the random generator and global state are as before after."""
    checks = torch.distributions.Distribution._validate_args
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        try:
            torch.distributions.Distribution.set_default_validate_args(False)
            yield
        finally:
            torch.distributions.Distribution.set_default_validate_args(checks)


@contextmanager
def unfused_torch() -> Iterator[None]:
    """Neither the fused transformer layer nor mkldnn's fused recurrent layers inside."""
    mkldnn = torch._C._get_mkldnn_enabled()
    fastpath = torch.backends.mha.get_fastpath_enabled()
    try:
        torch._C._set_mkldnn_enabled(False)
        torch.backends.mha.set_fastpath_enabled(False)
        yield
    finally:
        torch._C._set_mkldnn_enabled(mkldnn)
        torch.backends.mha.set_fastpath_enabled(fastpath)
