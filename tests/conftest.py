"""PyTorch on one thread: the reference models are tiny, and idle workers of its pool only slow the tests down."""

import importlib.util
import signal

if importlib.util.find_spec("torch"):
    import torch

    torch.set_num_threads(1)

# A shell ignores Ctrl-C for what it starts in the background, and so would the processes that the tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
