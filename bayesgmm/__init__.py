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
    from bayesgmm.data.datasets import load_dataset as load_dataset
    from bayesgmm.diagnostics.diagnose import diagnose as diagnose
    from bayesgmm.diagnostics.goodness_of_fit import goodness_of_fit as goodness_of_fit
    from bayesgmm.em.estimator import GaussianMixture as GaussianMixture
    from bayesgmm.em.estimator import from_parameters as from_parameters
    from bayesgmm.em.estimator import load as load
    from bayesgmm.model.mixture_model import mixture_model as mixture_model
    from bayesgmm.plots import plot_coclustering as plot_coclustering
    from bayesgmm.plots import plot_compare as plot_compare
    from bayesgmm.plots import plot_components as plot_components
    from bayesgmm.plots import plot_conditional as plot_conditional
    from bayesgmm.plots import plot_density as plot_density
    from bayesgmm.plots import plot_generated as plot_generated
    from bayesgmm.plots import plot_membership as plot_membership
    from bayesgmm.plots import plot_merging as plot_merging
    from bayesgmm.plots import plot_partition as plot_partition
    from bayesgmm.posterior.align_labels import align_labels as align_labels
    from bayesgmm.posterior.pseudo_posterior import adjust_pseudo_posterior as adjust_pseudo_posterior
    from bayesgmm.posterior.sampling import sample_posterior as sample_posterior
    from bayesgmm.priors import Prior as Prior
    from bayesgmm.questions.bootstrap import bootstrap as bootstrap
    from bayesgmm.questions.bootstrap import bootstrap_test as bootstrap_test
    from bayesgmm.questions.coclustering import coclustering as coclustering
    from bayesgmm.questions.conditional import conditional as conditional
    from bayesgmm.questions.conditional import marginal as marginal
    from bayesgmm.questions.conditional_mean import conditional_mean as conditional_mean
    from bayesgmm.questions.density import density as density
    from bayesgmm.questions.density import grid_axes as grid_axes
    from bayesgmm.questions.generate import generate as generate
    from bayesgmm.questions.highest_density_regions import highest_density_regions as highest_density_regions
    from bayesgmm.questions.impute import completed_table as completed_table
    from bayesgmm.questions.impute import impute as impute
    from bayesgmm.questions.membership import membership as membership
    from bayesgmm.questions.merge import merge as merge
    from bayesgmm.questions.modes import modes as modes
    from bayesgmm.questions.partition import partition as partition
    from bayesgmm.questions.pseudo_class import pseudo_class as pseudo_class
    from bayesgmm.questions.quantiles import cdf as cdf
    from bayesgmm.questions.quantiles import quantile as quantile
    from bayesgmm.questions.standard_errors import standard_errors as standard_errors
    from bayesgmm.selection.compare import compare as compare
    from bayesgmm.selection.compare_posteriors import compare_posteriors as compare_posteriors
    from bayesgmm.selection.cross_validate import cross_validate as cross_validate
    from bayesgmm.selection.evidence import log_evidence as log_evidence
    from bayesgmm.selection.leave_one_out import leave_one_out as leave_one_out
    from bayesgmm.selection.leave_one_out import waic as waic
    from bayesgmm.selection.number_of_components import filled_components as filled_components
    from bayesgmm.selection.number_of_components import posterior_of_components as posterior_of_components

__version__ = "0.1.0"

_HOME = {
    "GaussianMixture": "em.estimator",
    "Prior": "priors",
    "adjust_pseudo_posterior": "posterior.pseudo_posterior",
    "align_labels": "posterior.align_labels",
    "bootstrap": "questions.bootstrap",
    "bootstrap_test": "questions.bootstrap",
    "cdf": "questions.quantiles",
    "coclustering": "questions.coclustering",
    "compare": "selection.compare",
    "completed_table": "questions.impute",
    "compare_posteriors": "selection.compare_posteriors",
    "conditional": "questions.conditional",
    "conditional_mean": "questions.conditional_mean",
    "cross_validate": "selection.cross_validate",
    "density": "questions.density",
    "diagnose": "diagnostics.diagnose",
    "filled_components": "selection.number_of_components",
    "from_parameters": "em.estimator",
    "generate": "questions.generate",
    "impute": "questions.impute",
    "goodness_of_fit": "diagnostics.goodness_of_fit",
    "grid_axes": "questions.density",
    "highest_density_regions": "questions.highest_density_regions",
    "leave_one_out": "selection.leave_one_out",
    "load": "em.estimator",
    "load_dataset": "data.datasets",
    "log_evidence": "selection.evidence",
    "marginal": "questions.conditional",
    "membership": "questions.membership",
    "merge": "questions.merge",
    "mixture_model": "model.mixture_model",
    "modes": "questions.modes",
    "partition": "questions.partition",
    "plot_coclustering": "plots",
    "plot_compare": "plots",
    "plot_components": "plots",
    "plot_conditional": "plots",
    "plot_density": "plots",
    "plot_generated": "plots",
    "plot_membership": "plots",
    "plot_merging": "plots",
    "plot_partition": "plots",
    "posterior_of_components": "selection.number_of_components",
    "pseudo_class": "questions.pseudo_class",
    "quantile": "questions.quantiles",
    "sample_posterior": "posterior.sampling",
    "standard_errors": "questions.standard_errors",
    "waic": "selection.leave_one_out",
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
