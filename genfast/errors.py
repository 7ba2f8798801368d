"""The typed errors of genfast: one definition, raised by the exporter here and by the compiled core through its
bindings.

Wrong arguments are `ValueError` or `TypeError`; everything about a model, a file or a computation is one of these.
"""

__all__ = [
    "DeviceError",
    "DeviceMemoryError",
    "Error",
    "FormatError",
    "NotCausalError",
    "NumericalError",
    "UnsupportedOpError",
]


class Error(Exception):
    """Base of every error that genfast raises about a model, a file or a computation."""


class UnsupportedOpError(Error):
    """The model does what genfast cannot compile; the message names the op, shapes, module and source line."""


class NotCausalError(Error):
    """A site reads sites that are sampled later; the message names the layer and a concrete chain."""


class FormatError(Error):
    """The bytes are not a valid `.genfast` file; the message says what is wrong and where."""


class NumericalError(Error, ArithmeticError):
    """A computation met NaN or infinite logits, or an index outside its table."""


class DeviceError(Error):
    """A device is not there, is too old, or failed; the message says which and why, and names the kernel and step."""


class DeviceMemoryError(DeviceError, MemoryError):
    """A device has less memory than was asked for; the message says how much, and what would need less."""
