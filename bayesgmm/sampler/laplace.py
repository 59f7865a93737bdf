"""Laplace's approximation of a posterior: the Gaussian at its mode, checked and corrected by importance weights.

It sees a `LogDensity` only: any model, any parametrisation. What it spends is counted in evaluations of value and
gradient, each one pass over the rows.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cholesky
from scipy.special import gammaln, logsumexp

from bayesgmm.sampler.log_density import Frame, LogDensity

SETTLED = 1e-3
"""The mode is found when every coordinate is within about this many posterior standard deviations of it."""

CURVATURE_HOLDS = 0.3
"""The curvature is computed again when the mode is further than this, in standard deviations, from where it was."""

MOST_STEPS = 40
"""Most evaluations of one search, between two computations of the curvature."""

MOST_CURVATURES = 6
"""Most computations of the curvature, each of two evaluations for each coordinate."""

STEP = 1e-4
"""Step of the differences: unconstrained variables are of order one."""

LARGEST_STEP = 1.0
"""Largest step of the differences in standard deviations; where `STEP` is longer the column is computed again."""

LEAST_CURVATURE = 1e-8
"""Curvatures below this share of the largest are no maximum's."""

LEAST_RISE, SHRINK = 1e-4, 0.3
"""Share of the expected rise that a step must make, and what is left of it when it does not."""

FURTHER = 4.0
"""How much longer the next step may be, after one as long as allowed that went up."""

LEAST_DEGREES = 10
"""Fewest degrees of freedom of what importance draws come from."""

GOOD_K = 0.7
"""Largest k-hat at which importance weights can be relied upon (Vehtari et al. 2024)."""


class LaplaceError(ValueError):
    """The posterior has no mode here that a Gaussian could stand for."""


class Laplace(NamedTuple):
    """The Gaussian at a mode, in the unconstrained variables.

    Attributes
    ----------
    frame : Frame
        Mode and lower Cholesky factor of the covariance, the inverse of minus the Hessian there.
    log_density : float
        log p at the mode.
    passes : int
        Evaluations of value and gradient that it took.
    """

    frame: Frame
    log_density: float
    passes: int

    @property
    def log_evidence(self) -> float:
        """Log of the integral of p around this mode: log p + n/2 log 2 pi + log det factor."""
        n = len(self.frame.centre)
        return self.log_density + 0.5 * n * np.log(2 * np.pi) + float(np.log(np.diag(self.frame.factor)).sum())


class ImportanceDraws(NamedTuple):
    """Draws around a mode, with what corrects them.

    Attributes
    ----------
    values : (S, n) float64
        Unconstrained.
    log_p, log_g : (S,) float64
        Log density of the posterior, not normalised, and of what was drawn from.
    log_weights : (S,) float64
        Pareto-smoothed log p - log g; their exponentials sum to one.
    pareto_k : float
        k-hat, the shape of the weights' tail: above 0.7 the correction cannot be relied upon.
    effective_size : float
        1 / sum of squared weights.
    log_evidence : float
        log of the mean weight: the integral of p around the mode.
    mean : (n,) float64
        Posterior mean of z in the Gaussian's frame.
    """

    values: np.ndarray
    log_p: np.ndarray
    log_g: np.ndarray
    log_weights: np.ndarray
    pareto_k: float
    effective_size: float
    log_evidence: float
    mean: np.ndarray


def laplace(density: LogDensity, start: np.ndarray) -> Laplace:
    """Climb from `start` to the mode and measure the curvature there.

    Quasi-Newton (BFGS) in the frame of the curvature, which is computed by central differences of the exact gradient:
    2 n evaluations, once where the start is as near as an EM fit of many rows is, again where it is further away.

    Parameters
    ----------
    density : LogDensity
        Without a frame.
    start : (n,) float64
        Unconstrained; the density and its gradient are finite there.

    Raises
    ------
    LaplaceError
        When the climb does not end, or ends where some direction has no curvature.

    References
    ----------
    Tierney & Kadane (1986), J. Am. Stat. Assoc. 81. Nocedal & Wright (2006), algorithm 6.1.
    """
    x, passes = np.array(start, dtype=np.float64), 0
    for _ in range(MOST_CURVATURES):
        hessian, spent = curvature(density, x)
        passes += spent
        if not hessian.any():
            break
        factor, is_maximum = _covariance_factor(hessian)
        z, value, spent, settled = _climb(density, Frame(x, factor))
        passes += spent
        x = x + factor @ z
        if settled and is_maximum and np.abs(z).max() <= CURVATURE_HOLDS:
            return Laplace(Frame(x, factor), value, passes)
    raise LaplaceError(
        "no mode was found that a Gaussian could stand for: the posterior is flat in some direction (a component "
        "without rows, often). Use method='nuts', fewer components, or a more informative prior."
    )


def curvature(density: LogDensity, x: np.ndarray) -> tuple[np.ndarray, int]:
    """Minus the Hessian of the log density at x, (n, n), by central differences; and the evaluations spent.

    The error is of the order of the squared step, relative to the scale on which the curvature changes.
    """
    n = len(x)

    def columns(chosen: np.ndarray, steps: np.ndarray) -> np.ndarray:
        moves = np.zeros((len(chosen), n))
        moves[np.arange(len(chosen)), chosen] = steps
        _, gradients = density.at_many(np.concatenate([x + moves, x - moves]))
        return (gradients[len(chosen) :] - gradients[: len(chosen)]) / (2 * steps[:, None])

    rows, spent = columns(np.arange(n), np.full(n, STEP)), 2 * n
    finite = np.isfinite(rows).all(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        steps = LARGEST_STEP / np.sqrt(np.abs(np.diag(rows)))
    steps[~finite] = 1e-3 * STEP
    again = np.flatnonzero(steps < STEP)
    if len(again):
        rows[again] = columns(again, steps[again])
        spent += 2 * len(again)
    if not np.isfinite(rows).all():
        raise LaplaceError("the gradient of the log density is not finite around the start: start elsewhere.")
    return 0.5 * (rows + rows.T), spent


def importance_draws(density: LogDensity, gaussian: Laplace, n_draws: int, rng: np.random.Generator) -> ImportanceDraws:
    """Draw around the mode, and weigh each draw by what the posterior has more or less there.

    Draws are from the multivariate t of the Gaussian's centre and scale with max(10, 3 n) degrees of freedom: its tails
    bound the weights, and in many dimensions, where a t of few degrees is far too wide, it is nearly Gaussian.

    The mean does not come from the weighted draws themselves, whose error is one standard deviation over the root of
    their number. For any density E_p[grad log p(z)] = 0 (Stein's identity), so E_p[z] = E_p[grad log p(z) + z], and
    what is averaged is zero but for what is not Gaussian: the gradient is there anyway.

    References
    ----------
    Vehtari, Simpson, Gelman, Yao & Gabry (2024), Pareto smoothed importance sampling, JMLR 25.
    """
    from arviz_stats.base import array_stats

    frame, n = gaussian.frame, len(gaussian.frame.centre)
    degrees = max(LEAST_DEGREES, 3 * n)
    z = rng.normal(size=(n_draws, n)) / np.sqrt(rng.chisquare(degrees, size=(n_draws, 1)) / degrees)
    log_g = (
        gammaln((degrees + n) / 2)
        - gammaln(degrees / 2)
        - 0.5 * n * np.log(degrees * np.pi)
        - np.log(np.diag(frame.factor)).sum()
        - 0.5 * (degrees + n) * np.log1p((z**2).sum(axis=1) / degrees)
    )
    values = frame.to_x(z)
    log_p, gradients = density.at_many(values)
    ratios = np.maximum(log_p - log_g, -1e300)
    smoothed, pareto_k = array_stats.psislw(-ratios)  # it takes log likelihoods of what is left out: the negative
    smoothed = smoothed - logsumexp(smoothed)
    not_gaussian = np.where(np.isfinite(log_p)[:, None], gradients @ frame.factor + z, 0.0)
    return ImportanceDraws(
        values=values,
        log_p=log_p,
        log_g=log_g,
        log_weights=smoothed,
        pareto_k=float(pareto_k),
        effective_size=float(np.exp(-logsumexp(2 * smoothed))),
        log_evidence=float(logsumexp(ratios) - np.log(n_draws)),
        mean=np.exp(smoothed) @ not_gaussian,
    )


def gaussian_log_density(frame: Frame, x: np.ndarray) -> np.ndarray:
    """Log density (...) of x (..., n) under the Gaussian of the frame."""
    n = x.shape[-1]
    z = frame.to_z(x)
    return -0.5 * (z**2).sum(axis=-1) - 0.5 * n * np.log(2 * np.pi) - np.log(np.diag(frame.factor)).sum()


def resample(log_weights: np.ndarray, n_draws: int, rng: np.random.Generator) -> np.ndarray:
    """Choose indices (n_draws,) in random order, each draw about in proportion to its weight.

    Systematic resampling: each occurs either the integer below or above n_draws times its weight (Kitagawa 1996).
    """
    cumulative = np.cumsum(np.exp(log_weights))
    places = (rng.uniform() + np.arange(n_draws)) / n_draws * cumulative[-1]
    return rng.permutation(np.minimum(np.searchsorted(cumulative, places), len(log_weights) - 1))


def _covariance_factor(hessian: np.ndarray) -> tuple[np.ndarray, bool]:
    """Lower L with L L^T the inverse of the curvature, and whether that is a maximum's; made so where it is not."""
    scale = np.sqrt(np.abs(np.diag(hessian)))
    scale[scale == 0] = 1.0
    relative = hessian / scale[:, None] / scale
    values, vectors = np.linalg.eigh(relative)
    is_maximum = bool(values[0] > LEAST_CURVATURE * values[-1])
    if not is_maximum:
        values = np.maximum(np.abs(values), 1e-3 * np.abs(values).max())
    covariance = (vectors / values) @ vectors.T / scale[:, None] / scale
    return cholesky(covariance, lower=True), is_maximum


def _climb(density: LogDensity, frame: Frame) -> tuple[np.ndarray, float, int, bool]:
    """BFGS for the maximum over z, from 0: where it ended, the value there, evaluations, and whether it settled."""
    n = len(frame.centre)

    def evaluate(z: np.ndarray) -> tuple[float, np.ndarray]:
        values, gradients = density.at_many(frame.to_x(z[None]))
        return float(values[0]), gradients[0] @ frame.factor

    z, inverse, shrink, radius = np.zeros(n), np.eye(n), 1.0, np.sqrt(n)
    value, gradient = evaluate(z)
    for spent in range(1, MOST_STEPS + 1):
        if np.abs(gradient).max() <= SETTLED:
            return z, value, spent, True
        step = inverse @ gradient
        length = np.linalg.norm(step)
        step *= shrink * min(1.0, radius / length)
        new_value, new_gradient = evaluate(z + step)
        if not new_value >= value + LEAST_RISE * (step @ gradient):
            shrink *= SHRINK
            continue
        if length > radius and shrink == 1.0:
            radius *= FURTHER  # a start in a corner has a frame that is much too small
        change = gradient - new_gradient
        if change @ step > 1e-10 * np.linalg.norm(change) * np.linalg.norm(step):
            rho = 1.0 / (change @ step)
            left = np.eye(n) - rho * np.outer(step, change)
            inverse = left @ inverse @ left.T + rho * np.outer(step, step)
        z, value, gradient, shrink = z + step, new_value, new_gradient, 1.0
    return z, value, MOST_STEPS + 1, False
