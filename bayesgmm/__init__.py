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

from typing import Any

import lazy_loader

__version__ = "0.1.0"

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    """Load a public name from its module, of which ``__init__.pyi`` has the list, at first use."""
    if name not in __all__:
        raise AttributeError(f"module 'bayesgmm' has no attribute {name!r}; it has {', '.join(__all__)}.")
    return _load(name)
