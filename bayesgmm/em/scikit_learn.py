"""The way to scikit-learn: our tables as it sees them, our mixtures as its own, and back."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn import mixture as theirs
from sklearn.utils.validation import check_is_fitted

from bayesgmm.data.observations import Observations
from bayesgmm.em.known import KnownMixture, attributes, from_parameters
from bayesgmm.em.solver import Status

ATTRIBUTES = (
    *("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"),
    *("n_features_in_", "feature_names_in_", "converged_", "n_iter_", "lower_bound_", "lower_bounds_"),
)
"""What their mixture calls as ours does."""


def header(observations: Observations) -> np.ndarray | pd.DataFrame:
    """No rows of the same features: what it needs to check names, whatever the kind of table."""
    nothing = np.empty((0, observations.n_features))
    return pd.DataFrame(nothing, columns=list(observations.feature_names)) if observations.named else nothing


def from_scikit_learn(mixture: Any) -> KnownMixture:
    """Take over a fitted ``sklearn.mixture.GaussianMixture``.

    Raises
    ------
    TypeError
        When it is none; ``BayesianGaussianMixture`` is another thing.
    """
    if not isinstance(mixture, theirs.GaussianMixture):
        raise TypeError(f"expected a fitted sklearn.mixture.GaussianMixture; received {type(mixture).__name__}.")
    check_is_fitted(mixture)
    names = vars(mixture).get("feature_names_in_")
    known = from_parameters(
        np.asarray(mixture.weights_, dtype=np.float64),
        mixture.means_,
        mixture.covariances_,
        mixture.covariance_type,
        names=None if names is None else names.tolist(),
    )
    converged = bool(mixture.converged_)
    return replace(
        known,
        status=Status.CONVERGED if converged else Status.MAX_ITER,
        ending={
            "converged_": converged,
            "admissible_": converged,
            "n_iter_": int(mixture.n_iter_),
            "lower_bound_": float(mixture.lower_bound_),
        },
        lower_bounds=[float(bound) for bound in mixture.lower_bounds_],
    )


def to_scikit_learn(known: KnownMixture) -> theirs.GaussianMixture:
    """Make a fitted ``sklearn.mixture.GaussianMixture`` of it.

    Raises
    ------
    ValueError
        When the mixture has noise, which theirs have not.
    """
    parameters = known.parameters
    if parameters.noise is not None:
        raise ValueError("scikit-learn's mixtures have no noise: fit with `noise=None` to pass one on.")
    name = known.family.scikit_learn_name
    settings = {key: known.settings[key] for key in ("tol", "max_iter", "n_init", "random_state")}
    mixture = theirs.GaussianMixture(parameters.n_components, covariance_type=name, **settings)
    ours = attributes(replace(known, settings={"covariance_type": name}))
    vars(mixture).update({key: ours[key] for key in ATTRIBUTES if key in ours})
    return mixture
