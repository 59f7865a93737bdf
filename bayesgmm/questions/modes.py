"""Modes of a mixture's density: how many, where, and how sure."""

from typing import Any

import numpy as np
import xarray as xr

from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.posterior.datatree import CHAIN, COMPONENT, DRAW, FEATURE, unit_text, view
from bayesgmm.posterior.intervals import check_ci_prob, interval

COMPONENT_BIS, NUMBER = "component_bis", "number"

MOST_STEPS = 2000
"""Steps of one ascent; Newton's steps end nearly all of them within twenty."""

SETTLED = 1e-9
"""An ascent ends when its step is shorter than this, in standard deviations of the components that share the place."""

SAME = 1e-3
"""Two ends are one mode when they are closer than this, in the same standard deviations."""

AT_ONCE = 2**21
"""Numbers of one block of draws: starts times components times features squared (16 MiB)."""


def modes(dt: "xr.DataTree | GaussianMixture", *, ci_prob: float | None = None) -> xr.Dataset:
    """Find the modes of the density in every draw.

    From each component's mean, and from the middle of the ridge between each pair of components, go uphill by
    ``x <- (sum_k r_k P_k)^-1 sum_k r_k P_k mu_k`` with P_k = Sigma_k^-1 and r_k the membership probabilities at x: an
    EM algorithm, that never goes down. Newton's step replaces it where it goes up too. A mixture may have fewer modes
    than components, and in two features and more also more of them. Noise raises the density inside its background by
    a constant, and moves no mode: they are those of the components together.

    Parameters
    ----------
    dt : DataTree or GaussianMixture
        A posterior, or a maximum-likelihood fit.
    ci_prob : float, optional
        Probability of the interval; ``az.rcParams["stats.ci_prob"]`` by default.

    Returns
    -------
    Dataset
        ``n_modes`` (chain, draw), the number of modes found; ``n_modes_probability`` (number), the share of draws that
        have so many; ``mode`` (component, feature), the mode uphill from the mean of each component, its posterior mean
        with ``mode_lower`` and ``mode_upper``, in the units of the data; ``shared_mode_probability``
        (component, component_bis), the share of draws in which two components lead to the same mode. For a fit
        ``n_modes`` is one number and there is no interval.

    Notes
    -----
    Every mode is on the ridges between components (Ray & Lindsay 2005, theorem 1), but no number of starts is known to
    find each of them: ``n_modes`` counts those that were found.

    References
    ----------
    Carreira-Perpinan (2000), Mode-finding for mixtures of Gaussian distributions, IEEE TPAMI 22, equation 10.
    Ray & Lindsay (2005), The topography of multivariate normal mixtures, Annals of Statistics 33.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> gm = bg.from_parameters([0.5, 0.5], [[-1.5], [1.5]], [[[1.0]], [[1.0]]])
    >>> bg.modes(gm)["n_modes"].item()
    2
    """
    mixture = view(dt)
    parameters = mixture.parameters
    prob = check_ci_prob(ci_prob) if mixture.has_draws else None
    K = parameters.n_components
    ends, precision = find_modes(parameters)
    which = distinct(ends, precision)
    S = len(which)
    counted = (which == np.arange(which.shape[1])).sum(axis=1)
    from_means, own = ends[:, :K], which[:, :K]
    attrs = {"units": unit_text(mixture.units)}
    variables: dict[str, Any] = {"mode": ((COMPONENT, FEATURE), from_means.mean(axis=0), attrs)}
    if prob is not None:
        for name, end in zip(("mode_lower", "mode_upper"), interval(from_means, prob), strict=True):
            variables[name] = ((COMPONENT, FEATURE), end, attrs)
    variables["shared_mode_probability"] = (
        (COMPONENT, COMPONENT_BIS),
        (own[:, :, None] == own[:, None, :]).mean(axis=0),
    )
    numbers = np.arange(1, counted.max() + 1)
    variables["n_modes_probability"] = (NUMBER, np.array([(counted == number).mean() for number in numbers]))
    coords: dict[str, Any] = {
        COMPONENT: np.arange(K),
        COMPONENT_BIS: np.arange(K),
        FEATURE: list(mixture.feature_names),
        NUMBER: numbers,
    }
    if isinstance(dt, xr.DataTree):
        posterior = dt["posterior"].to_dataset()
        coords |= {dim: posterior[dim].values for dim in (CHAIN, DRAW)}
        shape = tuple(posterior.sizes[dim] for dim in (CHAIN, DRAW))
        variables["n_modes"] = ((CHAIN, DRAW), counted.reshape(shape))
    else:
        assert S == 1
        variables["n_modes"] = ((), counted[0])
    result = xr.Dataset(variables, coords=coords)
    if prob is not None:
        result.attrs["ci_prob"] = prob
    return result


def find_modes(parameters: MixtureParameters) -> tuple[np.ndarray, np.ndarray]:
    """Go uphill from every start of each of S mixtures.

    Parameters
    ----------
    parameters : MixtureParameters
        Batch shape (S,).

    Returns
    -------
    ends : (S, J, D) float64
        Modes reached; the first K starts are the means, the others the middles of the ridges between pairs.
    precision : (S, J, D, D) float64
        sum_k r_k P_k at the ends: the unit of distances there.
    """
    S, K, D = parameters.means.shape
    J = K + K * (K - 1) // 2
    ends, precision = np.empty((S, J, D)), np.empty((S, J, D, D))
    at_once = max(1, AT_ONCE // (J * K * D * D))
    for start in range(0, S, at_once):
        some = slice(start, start + at_once)
        ends[some], precision[some] = _climb(parameters[some])
    return ends, precision


def distinct(ends: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Give each end the number of the first that is the same mode, (S, J)."""
    S, J, _ = ends.shape
    which = np.tile(np.arange(J), (S, 1))
    for j in range(1, J):
        away = ends[:, :j] - ends[:, j : j + 1]
        squared = np.einsum("sid,sde,sie->si", away, precision[:, j], away)
        close = squared < SAME**2
        known = close.any(axis=1)
        which[known, j] = which[known, close[known].argmax(axis=1)]
    return which


def _climb(parameters: MixtureParameters) -> tuple[np.ndarray, np.ndarray]:
    """`find_modes` of a block of draws."""
    S, K, D = parameters.means.shape
    U = parameters.precision_cholesky
    P = U @ np.swapaxes(U, -1, -2)
    pull = np.einsum("skde,ske->skd", P, parameters.means)
    i, j = np.triu_indices(K, 1)
    middles = np.linalg.solve(P[:, i] + P[:, j], (pull[:, i] + pull[:, j])[..., None])[..., 0]
    # a little aside: a mean may be a saddle, by symmetry, and an ascent would never leave it
    aside = 1e-3 * np.sqrt(np.diagonal(parameters.covariances, axis1=-2, axis2=-1)) * np.linspace(1, 0.5, D)
    starts = np.concatenate([parameters.means + aside, middles + aside[:, i]], axis=1)
    J = starts.shape[1]
    x, draw = starts.reshape(-1, D).copy(), np.repeat(np.arange(S), J)
    precision = np.empty((len(x), D, D))
    constant = parameters.log_weights + parameters.log_det_precision_cholesky
    going = np.arange(len(x))
    for _ in range(MOST_STEPS):
        here, s = x[going], draw[going]
        height, gradient, mixed, hessian = _slope(here, s, parameters.means, U, P, constant)
        precision[going] = mixed
        safe = np.linalg.solve(mixed, gradient[..., None])[..., 0]
        step = _newton(here, gradient, hessian, safe, height, s, parameters.means, U, constant)
        x[going] = here + step
        length = np.sqrt(np.einsum("nd,nde,ne->n", step, mixed, step))
        # the last digits of a large mean are no standard deviation's
        digits = 8 * np.sqrt(np.einsum("nd,ndd->n", np.spacing(np.abs(here)) ** 2, mixed))
        going = going[length > np.maximum(SETTLED, digits)]
        if not len(going):
            break
    return x.reshape(S, J, D), precision.reshape(S, J, D, D)


def _log_joint(x: np.ndarray, s: np.ndarray, means: np.ndarray, U: np.ndarray, constant: np.ndarray) -> np.ndarray:
    """Log weights_k + log N(x | mu_k, Sigma_k) but for a constant, (n, K): point x_n under mixture s_n."""
    z = np.einsum("nkde,nkd->nke", U[s], x[:, None] - means[s])
    return constant[s] - 0.5 * (z**2).sum(axis=-1)


def _slope(
    x: np.ndarray, s: np.ndarray, means: np.ndarray, U: np.ndarray, P: np.ndarray, constant: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Log density, its gradient g = sum_k r_k P_k (mu_k - x), sum_k r_k P_k, and its Hessian.

    With v_k = P_k (mu_k - x) the Hessian of the log density is sum_k r_k (v_k v_k^T - P_k) - g g^T.
    """
    r = _log_joint(x, s, means, U, constant)[..., None]
    height = normalise(r)[..., 0]
    r = r[..., 0]
    v = np.einsum("nkde,nke->nkd", P[s], means[s] - x[:, None])
    gradient = np.einsum("nk,nkd->nd", r, v)
    mixed = np.einsum("nk,nkde->nde", r, P[s])
    hessian = np.einsum("nk,nkd,nke->nde", r, v, v) - mixed - gradient[:, :, None] * gradient[:, None, :]
    return height, gradient, mixed, hessian


def _newton(
    x: np.ndarray,
    gradient: np.ndarray,
    hessian: np.ndarray,
    safe: np.ndarray,
    height: np.ndarray,
    s: np.ndarray,
    means: np.ndarray,
    U: np.ndarray,
    constant: np.ndarray,
) -> np.ndarray:
    """Newton's step where the log density is concave and the step goes at least as high as the safe one."""
    step = safe.copy()
    concave = np.flatnonzero(np.linalg.eigvalsh(hessian)[:, -1] < 0)
    if len(concave):
        tried = -np.linalg.solve(hessian[concave], gradient[concave][..., None])[..., 0]

        def level(moved: np.ndarray) -> np.ndarray:
            return normalise(_log_joint(x[concave] + moved, s[concave], means, U, constant)[..., None])[..., 0]

        # where both are at the top, rounding decides: Newton's step is then the shorter way to the end
        rounding = 1e-12 * (1 + np.abs(height[concave]))
        better = level(tried) >= level(safe[concave]) - rounding
        step[concave[better]] = tried[better]
    return step
