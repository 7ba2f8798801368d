"""What never reaches the dispatcher as it should: one_hot's reading of its input, and copies to numpy or lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from ..errors import UnsupportedOpError

if TYPE_CHECKING:
    from .trace import Tracer


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
        return func(*args, **kwargs)

    def one_hot(self, tensor: torch.Tensor, num_classes: int = -1) -> torch.Tensor:
        if not self.tracer.tainted(tensor):
            return torch.nn.functional.one_hot(tensor, num_classes)
        if num_classes < 0:
            raise UnsupportedOpError(f"one_hot without num_classes makes a shape of values, in {self.tracer.where()}")
        self.tracer.recording.one_hot.append((self.tracer.ref(tensor).id, num_classes))
        return torch.eq(tensor.unsqueeze(-1), torch.arange(num_classes)).to(torch.int64)
