"""What never reaches the dispatcher as it should: one_hot's reading of its input, copies to numpy or lists, and
recurrent layers, which would arrive one product at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from ..errors import UnsupportedOpError

if TYPE_CHECKING:
    from .trace import Tracer


RECURRENT = {
    torch.lstm: torch.ops.aten.lstm.input,
    torch.gru: torch.ops.aten.gru.input,
    torch.rnn_tanh: torch.ops.aten.rnn_tanh.input,
    torch.rnn_relu: torch.ops.aten.rnn_relu.input,
}


class Functions(TorchFunctionMode):
    """Goes with a tracer: refuses or rewrites those functions on input-dependent data."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self.tracer = tracer

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.nn.functional.one_hot:
            return self.one_hot(*args, **kwargs)
        if func in (torch.Tensor.tolist, torch.Tensor.numpy, torch.Tensor.__array__) and self.tracer.tainted(args[0]):
            self.tracer.value_read(func.__name__)
        if func in RECURRENT and not torch.is_grad_enabled() and self.is_layer(args):  # autograd looks inside
            return self.tracer.whole(RECURRENT[func], args)
        return func(*args, **kwargs)

    def is_layer(self, args: tuple) -> bool:
        """A layer over tensors, not packed sequences, without dropout between its layers."""
        if len(args) != 9 or not isinstance(args[3], bool) or (args[5] and args[6]):
            return False
        return any(self.tracer.tainted(a) for a in pytree.tree_leaves(args))

    def one_hot(self, tensor: torch.Tensor, num_classes: int = -1) -> torch.Tensor:
        if not self.tracer.tainted(tensor):
            return torch.nn.functional.one_hot(tensor, num_classes)
        if num_classes < 0:
            raise UnsupportedOpError(f"one_hot without num_classes makes a shape of values, in {self.tracer.where()}")
        self.tracer.recording.one_hot.append((self.tracer.ref(tensor).id, num_classes))
        return torch.eq(tensor.unsqueeze(-1), torch.arange(num_classes)).to(torch.int64)
