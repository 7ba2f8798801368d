"""From a PyTorch model to the bytes of a `.genfast` file: trace, lower, write. Imports torch."""

from .api import Exported, export, lower

__all__ = ["Exported", "export", "lower"]
