"""The pseudo-posterior of a survey, stretched to the intervals that its sampling design warrants.

With sampling weights the draws have about the covariance H^-1, H minus the Hessian of the log pseudo-posterior, which
treats weights as counts. Where the centre of the posterior lies varies with H^-1 J H^-1 instead, J = B + P: B the
variance of the weighted score over samples of the design (`bayesgmm.data.survey`), P the curvature of the prior. So
draws theta are moved, in the unconstrained coordinates of the model, to

    theta* = mean + R (theta - mean),   R H^-1 R^T = H^-1 J H^-1               (Williams & Savitsky 2021, section 3)

With F F^T = H^-1 and M = F^T J F, R = F M^(1/2) F^-1 with the symmetric root is the one such map that no linear change
of coordinates alters. Where J = H, as without a design in a large sample from the model itself, it moves nothing.
"""

from typing import Any

import numpy as np
import xarray as xr
from scipy.linalg import cholesky

from bayesgmm.data.observations import Observations
from bayesgmm.data.survey import Design, score_variance, survey_design
from bayesgmm.kernel.scores import local, n_local, row_derivatives
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.model.coordinates.bartlett import draw_scale
from bayesgmm.model.mixture_model import mixture_model, specification
from bayesgmm.model.points import mixtures, starting_point
from bayesgmm.posterior import datatree
from bayesgmm.priors import Prior
from bayesgmm.sampler.laplace import LEAST_CURVATURE, STEP, LaplaceError, curvature
from bayesgmm.sampler.log_density import Frame, compile_log_density
from bayesgmm.sampler.unconstrained import constrain_draws, prior_gradients, unconstrained_points

MOST_STRETCHED = 3.0
"""Draws whose variance, in some direction, is this many times what the curvature says, or less than its inverse."""

DRAWS_PER_COORDINATE = 10

JACOBIAN_STEP = 1e-5

DROPPED = ("sample_stats", "log_likelihood", "alignment", "importance")
"""Groups that tell of the draws as they were."""


class AdjustmentError(ValueError):
    """No linear map makes these draws those of a survey; the message says why, and what to do."""


def adjust_pseudo_posterior(
    dt: xr.DataTree, *, clusters: Any = None, strata: Any = None, random_seed: int | None = None
) -> xr.DataTree:
    """Stretch a pseudo-posterior to the uncertainty of its sampling design.

    Sampling weights give a posterior the right centre and the wrong width. This moves its draws, linearly in the
    coordinates of the sampler, until their covariance is the sandwich's: the width that `standard_errors` gives an EM
    fit, with the prior in it. Intervals then cover about as often as they say, over samples of the same design.

    Parameters
    ----------
    dt : DataTree
        Of `sample_posterior` with sampling weights (or without weights, and with clusters or strata here).
    clusters : (N,) array, optional
        Primary sampling units: rows of one cluster were drawn together.
    strata : (N,) array, optional
        Clusters (or rows) were drawn within strata.
    random_seed : int, optional
        Used only where the prior has a random scale, which is no part of the posterior's group.

    Returns
    -------
    DataTree
        As `sample_posterior`'s, with the moved draws. Root attribute ``bayesgmm`` has ``adjusted``: the clusters less
        strata, and ``design_effects``, the least, mean and largest ratio of the new variances to the old. Groups that
        tell of the draws as they were (``sample_stats``, ``log_likelihood``, ``alignment``, ``importance``) are gone:
        there is no leave-one-out and no evidence of a pseudo-posterior's adjustment.

    Raises
    ------
    AdjustmentError
        When weights are frequencies or there is no design; when the draws were adjusted before; when the posterior has
        several modes, labels that switch, or is far from a Gaussian; when there are fewer clusters less strata than
        unconstrained parameters, or fewer than ten draws for each.
    DataError
        When the clusters or strata cannot be used.

    Notes
    -----
    What is returned is no posterior of any model. It is a sample whose spread is that of the estimate over repeated
    samples of the same design, which is what an interval of a survey is asked to show.

    References
    ----------
    Williams & Savitsky (2021), International Statistical Review 89, 72-107. Ribatet, Cooley & Davison (2012),
    Statistica Sinica 22, 813-845. Binder (1983), International Statistical Review 51.
    """
    meta = _check(dt, designed=clusters is not None or strata is not None)
    seen = datatree.view(dt)
    observations = seen.observations
    if observations is None:
        raise AdjustmentError("the DataTree has no group `observed_data`: the adjustment needs the rows.")
    design = survey_design(observations, clusters, strata)
    prior = Prior.from_dict(meta["prior"])
    background = None if seen.parameters.noise is None else seen.parameters.noise.background
    model: Any = mixture_model(
        observations,
        int(meta["n_components"]),
        covariance_type=meta["covariance_type"],
        prior=prior,
        start=datatree.posterior_parameters(dt, "em"),
        noise=background,
    )
    draws = datatree.posterior_parameters(dt)
    flat, order = draws.flat(), _prior_labels(dt, prior)
    rng = np.random.default_rng(random_seed)
    flat = flat if order is None else flat.permute(np.argsort(order, axis=-1))
    points = [starting_point(model, flat[s]) for s in range(len(flat.weights))]
    vectors = unconstrained_points(model, [draw_scale(prior.covariances, point, rng) for point in points])
    n = vectors.shape[1]
    if len(vectors) < DRAWS_PER_COORDINATE * n:
        raise AdjustmentError(
            f"{len(vectors)} draws are too few to see whether the posterior of {n} unconstrained parameters is near a "
            f"Gaussian: sample at least {DRAWS_PER_COORDINATE * n}."
        )
    if design.degrees_of_freedom < n:
        raise AdjustmentError(
            f"{design.degrees_of_freedom} clusters less strata cannot tell how {n} unconstrained parameters vary: use "
            "fewer components or a simpler `covariance_type`."
        )
    centre = vectors.mean(axis=0)
    frame = _frame(model, centre, vectors)
    M = frame.factor.T @ (_design_variance(model, observations, centre, design) + _prior_curvature(model, centre))
    ratios, directions = np.linalg.eigh(M @ frame.factor)
    if not ratios[0] > 0:
        raise AdjustmentError(
            "the scores of the rows and the curvature of the prior are no covariance together: use a proper prior that "
            "is log-concave where the posterior lies, or more rows."
        )
    z = frame.to_z(vectors) @ ((directions * np.sqrt(ratios)) @ directions.T)
    moved = mixtures(constrain_draws(model, frame.to_x(z).reshape(*draws.batch_shape, n)), background)
    if order is not None:
        moved = moved.permute(order.reshape(*draws.batch_shape, -1))
    effects = [float(ratios[0]), float(ratios.mean()), float(ratios[-1])]
    meta["adjusted"] = {"degrees_of_freedom": design.degrees_of_freedom, "design_effects": effects}
    old = dt["posterior"].to_dataset()
    new = datatree.parameter_dataset(moved, seen.feature_names, seen.units)
    new = new.assign_coords({name: old[name] for name in (datatree.CHAIN, datatree.DRAW)})
    tree = dt.copy().drop_nodes([name for name in DROPPED if name in dt.children])
    tree["posterior"] = xr.DataTree(new)
    datatree.write_meta(tree, meta)
    return tree


def _check(dt: xr.DataTree, *, designed: bool) -> dict[str, Any]:
    """Refuse what is no pseudo-posterior of one mode, and give the meta data."""
    meta = datatree.meta(dt)
    if "adjusted" in meta:
        raise AdjustmentError("these draws were adjusted before: adjust the pseudo-posterior itself.")
    if not isinstance(meta.get("prior"), dict):
        raise AdjustmentError("the DataTree has no stored prior: expected what `sample_posterior` returns.")
    kind = meta.get("weights", "none")
    if kind == "frequency":
        raise AdjustmentError(
            "the row weights are whole numbers, counts of equal rows, and the posterior is that of the rows repeated. "
            "If they are sampling weights, sample again with them divided by their mean."
        )
    if kind == "none" and not designed:
        raise AdjustmentError("no sampling weights, clusters or strata were given: there is nothing to adjust for.")
    if "other_mode" in dt.children:
        raise AdjustmentError(
            "chains stayed in different modes, and one linear map is no map between modes: use fewer components."
        )
    return meta


def _prior_labels(dt: xr.DataTree, prior: Prior) -> np.ndarray | None:
    """Permutations (S, K) from the labels that the prior tells apart to the aligned ones; None where it does not."""
    if prior.exchangeable or "alignment" not in dt.children:
        return None
    permutation = dt["alignment"].to_dataset()["permutation"]
    return permutation.values.reshape(-1, permutation.shape[-1])


def _frame(model: Any, centre: np.ndarray, vectors: np.ndarray) -> Frame:
    """Centre and F with F F^T = H^-1; refused where the draws do not have about that covariance."""
    try:
        H, _ = curvature(compile_log_density(model), centre)
    except LaplaceError as error:
        raise AdjustmentError(f"no curvature at the posterior mean: {error}") from None
    scale = np.sqrt(np.abs(np.diag(H)))
    relative = H / scale[:, None] / scale
    values = np.linalg.eigvalsh(relative)
    spread = np.array([np.inf])
    if values[0] > LEAST_CURVATURE * values[-1]:
        frame = Frame(centre, cholesky(np.linalg.inv(relative) / scale[:, None] / scale, lower=True))
        spread = np.linalg.eigvalsh(np.atleast_2d(np.cov(frame.to_z(vectors).T)))
    if not (spread[-1] <= MOST_STRETCHED and spread[0] >= 1 / MOST_STRETCHED):
        raise AdjustmentError(
            "the draws do not have the covariance that the curvature of the posterior at their mean says (ratios of "
            f"variances from {spread[0]:.2g} to {spread[-1]:.2g}, {1 / MOST_STRETCHED:.2g} to {MOST_STRETCHED:g} "
            "allowed): labels switch, a component is hardly there, or rows are too few for a linear map to mean "
            "something. Use fewer components or a more informative prior."
        )
    return frame


def _design_variance(model: Any, observations: Observations, centre: np.ndarray, design: Design) -> np.ndarray:
    """B in the unconstrained coordinates, (n, n)."""
    parameters, jacobian = local_jacobian(model, centre)
    blocks = (
        (block.rows, (block.scores(parameters) * block.weights[:, None]) @ jacobian)
        for block in row_derivatives(observations, parameters)
    )
    return score_variance(blocks, design, len(centre)).variance


def local_jacobian(model: Any, vector: np.ndarray) -> tuple[MixtureParameters, np.ndarray]:
    """Mixture at an unconstrained vector (n,), and the derivatives of `scores.local` there, (K F, n)."""
    n = len(vector)
    steps = JACOBIAN_STEP * np.eye(n)
    points = np.concatenate([vector[None], vector + steps, vector - steps])
    at_points = mixtures(constrain_draws(model, points), specification(model).background)
    numbers = local(at_points)
    jacobian = (numbers[1 : n + 1] - numbers[n + 1 :]).T / (2 * JACOBIAN_STEP)
    assert jacobian.shape == (n_local(at_points[0]), n)
    return at_points[0], jacobian


def _prior_curvature(model: Any, centre: np.ndarray) -> np.ndarray:
    """P, minus the Hessian of the log prior in the unconstrained coordinates, by central differences."""
    n = len(centre)
    steps = STEP * np.eye(n)
    gradients = prior_gradients(model, np.concatenate([centre + steps, centre - steps]))
    P = (gradients[n:] - gradients[:n]) / (2 * STEP)
    return 0.5 * (P + P.T)
