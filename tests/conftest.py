"""PyTorch on one thread: the reference models are tiny, and idle workers of its pool only slow the tests down."""

import importlib.util

if importlib.util.find_spec("torch"):
    import torch

    torch.set_num_threads(1)
