"""From a PyTorch model to the bytes of a `.genfast` file: trace, lower, write. Imports torch."""

from .api import export

__all__ = ["export"]
