"""Standard errors of a maximum-likelihood fit, by the information or by the sandwich: names in, names out."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import xarray as xr

from bayesgmm.data.checks import check_labels
from bayesgmm.data.observations import Observations, as_new_observations
from bayesgmm.data.survey import Design, score_variance, survey_design
from bayesgmm.data.tables import DataError
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.em.families import covariance_family
from bayesgmm.em.information import Information, coordinates, observed_information
from bayesgmm.em.task import check_known_labels
from bayesgmm.kernel.scores import row_derivatives
from bayesgmm.mixture.noise import Noise
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.posterior.datatree import parameter_dataset

FURTHEST = 0.5
"""A fit further from the maximum than this, in standard errors of some parameter, is not the fit of these rows."""


def standard_errors(
    fit: GaussianMixture,
    X: Any,
    sample_weight: Any = None,
    *,
    kind: Literal["information", "sandwich"] | None = None,
    clusters: Any = None,
    strata: Any = None,
    errors: Any = None,
    known_labels: Any = None,
) -> xr.Dataset:
    r"""Give standard errors of the weights, means and covariances of a fit.

    With A minus the Hessian of the weighted log-likelihood, the large-sample covariance of the estimates is
    :math:`A^{-1}` where weights count equal rows ("information"), and :math:`A^{-1} B A^{-1}` where they are sampling
    weights ("sandwich"), B the variance of the weighted score under the sampling design. The sandwich also holds where
    the data are not from a mixture of this family; the parameters are then those of the nearest one.

    Parameters
    ----------
    fit : GaussianMixture
        Fitted to `X`; its family one of VVV, EEE, VVI, EEI, VII, EII, V, E.
    X : table
        (N, D), the rows it was fitted to; NaN where a value is missing.
    sample_weight : (N,) array, optional
        The weights it was fitted with.
    kind : {"information", "sandwich"}, optional
        By default "information" without weights or where they are whole numbers, "sandwich" where they are not, or with
        clusters or strata. Survey weights that happen to be whole numbers: say ``kind="sandwich"``.
    clusters : (N,) array, optional
        Primary sampling units: rows of one cluster were drawn together, and are not independent.
    strata : (N,) array, optional
        Clusters (or rows) were drawn within strata.
    errors, known_labels : optional
        As they were given to `GaussianMixture.fit`.

    Returns
    -------
    Dataset
        ``weights`` (component), ``means`` (component, feature) and ``covariances`` (component, feature, feature_bis),
        in the units of the parameters, with noise also ``noise_weight``; zero where the family or ``frozen`` leaves
        nothing free. Attributes: ``kind``;
        for the sandwich ``degrees_of_freedom``, clusters less strata, of the t distribution for intervals.

    Raises
    ------
    DataError
        When the data, weights, clusters or strata cannot be used.
    ValueError
        For a family or a fit (with a prior) without these; for fractional weights with
        ``kind="information"``; when the fit is no maximum of the likelihood of these rows with these weights.

    Notes
    -----
    Clusters count as drawn with replacement: where a large share of the population was drawn, the errors are too large.
    Rows of weight zero belong to the design, so that a domain of a survey is a fit with zero weights outside of it.
    Standard errors are those of large samples: of many clusters, and of many rows in each component. `bootstrap` asks
    for fewer.

    References
    ----------
    Huber (1967), Proc. 5th Berkeley Symposium 1. White (1982), Econometrica 50. Binder (1983), International
    Statistical Review 51. Louis (1982), J. R. Stat. Soc. B 44, for the information.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> X = bg.load_dataset("faithful")
    >>> gm = bg.GaussianMixture(2, random_state=0).fit(X)
    >>> bg.standard_errors(gm, X, kind="sandwich").weights.values.round(3)
    array([0.029, 0.029])
    """
    if kind not in (None, "information", "sandwich"):
        raise ValueError(f"`kind` must be 'information' or 'sandwich'; received {kind!r}.")
    observations = _rows_of(fit, X, sample_weight, errors, known_labels)
    whole = observations.has_whole_weights
    designed = clusters is not None or strata is not None
    kind = kind or ("sandwich" if designed or not whole else "information")
    if kind == "information" and designed:
        raise ValueError("`clusters` and `strata` are for kind='sandwich': the information knows no sampling design.")
    if kind == "information" and not whole:
        raise ValueError(
            "the row weights are not whole numbers, and kind='information' takes each as a count of equal rows: use "
            "kind='sandwich' for sampling weights."
        )
    design = survey_design(observations, clusters, strata)
    information = observed_information(observations, fit)
    covariance = covariance_of_estimates(observations, fit, information, design if kind == "sandwich" else None)
    estimated = information.standard_errors(covariance)
    noise = fit.parameters_.noise
    # a container of arrays, which are no mixture's
    container = MixtureParameters(
        estimated.weights,
        estimated.means,
        estimated.covariances,
        estimated.covariances,
        None if noise is None else Noise(np.asarray(estimated.noise_weight), noise.background),
    )
    dataset = parameter_dataset(container, fit.feature_names, fit.units)
    freedom = {"degrees_of_freedom": design.degrees_of_freedom} if kind == "sandwich" else {}
    return dataset.assign_attrs({"kind": kind, **freedom})


def covariance_of_estimates(
    observations: Observations, fit: GaussianMixture, information: Information, design: Design | None
) -> np.ndarray:
    """A^-1 B A^-1 of a design, or A^-1 without one, (p, p) in the coordinates of the information.

    Raises
    ------
    ValueError
        When A is not positive definite, or the fit is no maximum of the likelihood of these rows with these weights.
    """
    parameters = fit.parameters_
    to_local, _ = coordinates(parameters, covariance_family(fit.covariance_type), fit.frozen)
    blocks = (
        (block.rows, (block.scores(parameters) * block.weights[:, None]) @ to_local)
        for block in row_derivatives(observations, parameters)
    )
    total, variance = score_variance(blocks, design or survey_design(observations), to_local.shape[1])
    inverse = information.covariance()
    covariance = inverse if design is None else inverse @ variance @ inverse
    # where Newton's step from the fit leads, in standard errors
    step = np.abs(inverse @ total) / np.sqrt(np.diag(covariance))
    if step.size and not step.max() <= FURTHEST:
        raise ValueError(
            f"the fit is no maximum of the likelihood of these rows with these weights: it is about {step.max():.2g} "
            "standard errors from it. Pass the rows it was fitted to, with the same `sample_weight`, `errors` and "
            "`known_labels`; or fit with a smaller `tol`."
        )
    return 0.5 * (covariance + covariance.T)


def _rows_of(fit: GaussianMixture, X: Any, sample_weight: Any, errors: Any, known_labels: Any) -> Observations:
    if not isinstance(fit, GaussianMixture):
        raise TypeError(f"`fit` must be a fitted GaussianMixture; received {type(fit)!r}.")
    if fit.prior is not None:
        raise ValueError(
            "standard errors are those of maximum likelihood, and this fit has prior='conjugate': fit without it, or "
            "sample the posterior."
        )
    given = {"sample_weight": sample_weight, "errors": errors, "known_labels": known_labels}
    if isinstance(X, Observations) and (twice := [name for name, part in given.items() if part is not None]):
        raise DataError(f"{', '.join(twice)} were given with observations, which carry their own: give them once.")
    observations = as_new_observations(X, fit.parameters_, fit.feature_names, weights=sample_weight, errors=errors)
    if known_labels is None:
        return observations
    labels, names = check_labels(known_labels, observations.n_rows, observations.row_labels)
    if names is not None and names != fit.label_names_:
        raise DataError(f"`known_labels` has the names {names}, but the fit had {fit.label_names_}.")
    observations = replace(observations, known_labels=labels, label_names=names)
    check_known_labels(observations, fit.parameters_.n_components)
    return observations
