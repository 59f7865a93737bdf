"""Gaussian mixtures that are right, and honest about their uncertainty.

Maximum likelihood: `GaussianMixture` (EM, scikit-learn's interface), `compare` over the number of components;
`from_parameters` makes a mixture of known parameters, `load` reads one that was saved.
Bayes: `mixture_model` (a PyMC model to extend), `sample_posterior` (NUTS seeded by EM, a DataTree in ArviZ's schema),
priors in `Prior` and `priors`.
What either says: `membership`, `density`, `generate`, `plot_density`, `plot_components`, `plot_membership`; of a
comparison, `plot_compare`. Mixtures known otherwise: `from_parameters`, `load`.
Data to try: `load_dataset`.

Importing this package, and fitting by EM, never imports PyMC, PyTensor or ArviZ: names below are loaded when used.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bayesgmm import priors as priors
    from bayesgmm.compare import compare as compare
    from bayesgmm.datasets import load_dataset as load_dataset
    from bayesgmm.density import density as density
    from bayesgmm.estimator import GaussianMixture as GaussianMixture
    from bayesgmm.estimator import from_parameters as from_parameters
    from bayesgmm.estimator import load as load
    from bayesgmm.generate import generate as generate
    from bayesgmm.membership import membership as membership
    from bayesgmm.model import mixture_model as mixture_model
    from bayesgmm.plots import plot_compare as plot_compare
    from bayesgmm.plots import plot_components as plot_components
    from bayesgmm.plots import plot_density as plot_density
    from bayesgmm.plots import plot_membership as plot_membership
    from bayesgmm.priors import Prior as Prior
    from bayesgmm.sampling import sample_posterior as sample_posterior

__version__ = "0.1.0"

_HOME = {
    "GaussianMixture": "estimator",
    "Prior": "priors",
    "compare": "compare",
    "density": "density",
    "from_parameters": "estimator",
    "generate": "generate",
    "load": "estimator",
    "load_dataset": "datasets",
    "membership": "membership",
    "mixture_model": "model",
    "plot_compare": "plots",
    "plot_components": "plots",
    "plot_density": "plots",
    "plot_membership": "plots",
    "sample_posterior": "sampling",
}

__all__ = [*sorted(_HOME), "priors"]


class _Package(ModuleType):
    """Keep public functions from being hidden by the modules of the same name that they live in.

    Importing ``bayesgmm.density`` sets the module as an attribute here, and `__getattr__` would not be asked again.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) and name in _HOME):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    """Load a public name from its module at first use."""
    if name == "priors":
        return import_module("bayesgmm.priors")
    if name not in _HOME:
        raise AttributeError(f"module 'bayesgmm' has no attribute {name!r}; it has {', '.join(__all__)}.")
    value = getattr(import_module(f"bayesgmm.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
