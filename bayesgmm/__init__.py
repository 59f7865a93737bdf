"""Gaussian mixtures that are right, and honest about their uncertainty.

Maximum likelihood: `GaussianMixture` (EM, scikit-learn's interface), `compare` over the number of components;
`from_parameters` makes a mixture of known parameters, `load` reads one that was saved.
Bayes: `mixture_model` (a PyMC model to extend), `sample_posterior` (NUTS seeded by EM, a DataTree in ArviZ's schema),
priors in `Prior` and `priors`; `diagnose` says how far its draws are to be trusted, `align_labels` relabels them,
`adjust_pseudo_posterior` gives them the width of a survey's design.
What either says: `membership`, `coclustering`, `partition`, `merge`, `pseudo_class`, `density`, `generate`,
`impute` (what is missing) and `completed_table`,
`plot_density`, `plot_components`, `plot_membership`, `plot_coclustering`, `plot_partition`, `plot_merging`; in part:
`marginal`, `conditional`, `conditional_mean`, `cdf`, `quantile`, `highest_density_regions`, `modes`, `grid_axes`,
`plot_conditional`; does generated data match: `goodness_of_fit`, `plot_generated`; of a
comparison, `plot_compare`. Mixtures known otherwise: `from_parameters`, `load`.
Which mixture, beside `compare`: `cross_validate` and the bootstrap likelihood ratio (`bootstrap_test`) of EM fits;
`compare_posteriors`, `leave_one_out`, `waic` and `log_evidence` of posteriors. How many components:
`posterior_of_components` and `filled_components`. How sure an EM fit is: `standard_errors`, `bootstrap`.
Data to try: `load_dataset`.

Importing this package, and fitting by EM, never imports PyMC, PyTensor or ArviZ: names below are loaded when used.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bayesgmm import priors as priors
    from bayesgmm.bootstrap import bootstrap as bootstrap
    from bayesgmm.bootstrap import bootstrap_test as bootstrap_test
    from bayesgmm.coclustering import coclustering as coclustering
    from bayesgmm.compare import compare as compare
    from bayesgmm.conditional import conditional as conditional
    from bayesgmm.conditional import marginal as marginal
    from bayesgmm.crossvalidation import cross_validate as cross_validate
    from bayesgmm.datasets import load_dataset as load_dataset
    from bayesgmm.density import density as density
    from bayesgmm.density import grid_axes as grid_axes
    from bayesgmm.diagnose import diagnose as diagnose
    from bayesgmm.estimator import GaussianMixture as GaussianMixture
    from bayesgmm.estimator import from_parameters as from_parameters
    from bayesgmm.estimator import load as load
    from bayesgmm.evidence import log_evidence as log_evidence
    from bayesgmm.generate import generate as generate
    from bayesgmm.imputation import completed_table as completed_table
    from bayesgmm.imputation import impute as impute
    from bayesgmm.leave_one_out import leave_one_out as leave_one_out
    from bayesgmm.leave_one_out import waic as waic
    from bayesgmm.matching import goodness_of_fit as goodness_of_fit
    from bayesgmm.membership import membership as membership
    from bayesgmm.merging import merge as merge
    from bayesgmm.model import mixture_model as mixture_model
    from bayesgmm.modes import modes as modes
    from bayesgmm.number_of_components import filled_components as filled_components
    from bayesgmm.number_of_components import posterior_of_components as posterior_of_components
    from bayesgmm.partition import partition as partition
    from bayesgmm.plots import plot_coclustering as plot_coclustering
    from bayesgmm.plots import plot_compare as plot_compare
    from bayesgmm.plots import plot_components as plot_components
    from bayesgmm.plots import plot_conditional as plot_conditional
    from bayesgmm.plots import plot_density as plot_density
    from bayesgmm.plots import plot_generated as plot_generated
    from bayesgmm.plots import plot_membership as plot_membership
    from bayesgmm.plots import plot_merging as plot_merging
    from bayesgmm.plots import plot_partition as plot_partition
    from bayesgmm.posterior_comparison import compare_posteriors as compare_posteriors
    from bayesgmm.priors import Prior as Prior
    from bayesgmm.pseudo_class import pseudo_class as pseudo_class
    from bayesgmm.pseudo_posterior import adjust_pseudo_posterior as adjust_pseudo_posterior
    from bayesgmm.quantiles import cdf as cdf
    from bayesgmm.quantiles import quantile as quantile
    from bayesgmm.regions import highest_density_regions as highest_density_regions
    from bayesgmm.regression import conditional_mean as conditional_mean
    from bayesgmm.relabelling import align_labels as align_labels
    from bayesgmm.sampling import sample_posterior as sample_posterior
    from bayesgmm.standard_errors import standard_errors as standard_errors

__version__ = "0.1.0"

_HOME = {
    "GaussianMixture": "estimator",
    "Prior": "priors",
    "adjust_pseudo_posterior": "pseudo_posterior",
    "align_labels": "relabelling",
    "bootstrap": "bootstrap",
    "bootstrap_test": "bootstrap",
    "cdf": "quantiles",
    "coclustering": "coclustering",
    "compare": "compare",
    "completed_table": "imputation",
    "compare_posteriors": "posterior_comparison",
    "conditional": "conditional",
    "conditional_mean": "regression",
    "cross_validate": "crossvalidation",
    "density": "density",
    "diagnose": "diagnose",
    "filled_components": "number_of_components",
    "from_parameters": "estimator",
    "generate": "generate",
    "impute": "imputation",
    "goodness_of_fit": "matching",
    "grid_axes": "density",
    "highest_density_regions": "regions",
    "leave_one_out": "leave_one_out",
    "load": "estimator",
    "load_dataset": "datasets",
    "log_evidence": "evidence",
    "marginal": "conditional",
    "membership": "membership",
    "merge": "merging",
    "mixture_model": "model",
    "modes": "modes",
    "partition": "partition",
    "plot_coclustering": "plots",
    "plot_compare": "plots",
    "plot_components": "plots",
    "plot_conditional": "plots",
    "plot_density": "plots",
    "plot_generated": "plots",
    "plot_membership": "plots",
    "plot_merging": "plots",
    "plot_partition": "plots",
    "posterior_of_components": "number_of_components",
    "pseudo_class": "pseudo_class",
    "quantile": "quantiles",
    "sample_posterior": "sampling",
    "standard_errors": "standard_errors",
    "waic": "leave_one_out",
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
