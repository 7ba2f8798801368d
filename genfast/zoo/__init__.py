"""Reference PyTorch models, their data and their training recipe. Needs torch: pip install 'genfast[torch,data]'."""

from genfast.zoo.gated import GatedPixelCNN
from genfast.zoo.gpt import GPT
from genfast.zoo.pixelcnn import PixelCNN

__all__ = ["GPT", "GatedPixelCNN", "PixelCNN"]
