"""Ready joints: each a chain of conditionals that is known in closed form."""

from genfast.joints.base import Joint
from genfast.joints.copulas import GaussianCopula, StudentTCopula
from genfast.joints.gaussian import GaussianMixture, MultivariateNormal
from genfast.joints.tables import DiscreteBayesNet, MarkovChain

__all__ = [
    "DiscreteBayesNet",
    "GaussianCopula",
    "GaussianMixture",
    "Joint",
    "MarkovChain",
    "MultivariateNormal",
    "StudentTCopula",
]
