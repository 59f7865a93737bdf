"""One orientation, each component its own shape: EVE, VVE (Celeux & Govaert 1995; Browne & McNicholas 2014).

Sigma_k = lambda_k D A_k D^T. With F_k = D^T W_k D and a_kj = (F_k)_jj the rest is known given D: A_k is proportional to
diag(a_k). What is left is to minimise over rotations D, with u_k = sum_j log a_kj,

    VVE: sum_k N_k u_k  (Flury's common principal components),      EVE: sum_k exp(u_k / D).

Along D exp(S), S skew, F_k changes by [F_k, S] + [[F_k, S], S] / 2: Newton's step follows. Its equations are solved
by elimination where D is small, and beyond by conjugate gradients, which need the second derivatives along one S at a
time: two products of matrices. Where the step does not descend, the majorisation of Browne & McNicholas (2014), which
always does, is taken instead.
"""

from functools import cache

import numpy as np
from scipy.linalg import lapack

from bayesgmm.em.families.family import family_by_code, of_equal_volume

MAX_STEPS = 200
SMALL_STEP = 1e-5
"""A Newton step this small leaves an error of its square."""

LONGEST_STEP = 0.5
"""Radians in any plane: what the second derivatives say does not reach further."""

SMALL_GAIN = 1e-15
"""A gain per row and feature that is rounding: there is nothing more to find."""

LARGEST_DENSE = 12
"""Features up to which all second derivatives are made: they take D^6 numbers."""

MOST_PRODUCTS = 200
"""Conjugate gradients within one Newton step. The last steps need the most: 150 in 50 features whose variances span
four powers of ten. Cut off earlier, a step leaves a part of itself in place of its square."""

LEAST_CURVATURE = 1e-10
"""Second derivatives per row are raised to this: in a plane in which every component is round any rotation does."""


def maximise_eve(scatter: np.ndarray, N: np.ndarray, previous: np.ndarray | None = None) -> np.ndarray:
    """EVE, [lambda D A_k D^T]: A_k = diag(a_k) / |a_k|^(1/D), lambda = sum_k |a_k|^(1/D) / sum_k N_k."""
    with np.errstate(all="ignore"):
        D, a = _orientation(scatter, None, previous)
        sizes = np.exp(np.log(a).mean(axis=1))
    return _turned(D, of_equal_volume(a, sizes, N))


def maximise_vve(scatter: np.ndarray, N: np.ndarray, previous: np.ndarray | None = None) -> np.ndarray:
    """VVE, [lambda_k D A_k D^T]: lambda_k A_k = diag(a_k) / N_k."""
    with np.errstate(all="ignore"):
        D, a = _orientation(scatter, N, previous)
    return _turned(D, a / N[:, None])


def _turned(D: np.ndarray, variances: np.ndarray) -> np.ndarray:
    half = D * np.sqrt(np.maximum(variances, 0.0))[:, None, :]
    return half @ half.swapaxes(-1, -2)


def _orientation(W: np.ndarray, N: np.ndarray | None, previous: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Rotation D that is best from where `previous` has it, and a_kj; N None means the criterion of EVE.

    Without `previous`, the axes of the pooled scatter, EEE's. The memberships are a start's then, and the best axes for
    them are bent towards components of few rows, whose small variances count most in a sum of logarithms.
    """
    d = W.shape[-1]
    if d == 1:
        return np.eye(1), W[:, :, 0]
    try:
        if previous is None:
            D = np.linalg.eigh(W.sum(axis=0))[1]
            return D, _look(W, N, D)[2]
        # uneven weights: a sum of covariances with a common orientation hides it only where eigenvalues tie
        weights = (0.5 + (0.618 * np.arange(len(W))) % 1.0) / np.trace(previous, axis1=1, axis2=2)
        return _descend(W, N, np.linalg.eigh(np.tensordot(weights, previous, 1))[1])
    except np.linalg.LinAlgError:
        return np.eye(d), np.zeros(W.shape[:2])


def _descend(W: np.ndarray, N: np.ndarray | None, D: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Go down from the rotation D; D and a_kj there."""
    value, F, a = _look(W, N, D)
    newton_step = _newton_step if len(D) <= LARGEST_DENSE else _conjugate_step
    least = SMALL_GAIN * (value if N is None else N.sum() * len(D))
    unit = np.eye(len(D))
    for _ in range(MAX_STEPS):
        try:
            S = newton_step(F, a, N)
        except np.linalg.LinAlgError:  # some a_kj is zero: a singular answer, for a floor or an error to meet
            break
        size = np.abs(S).max()
        for part in (1.0, 0.5, 0.25):
            # Cayley's rotation is exp(S) to third order
            half = 0.5 * part * S
            candidate = D @ lapack.dgesv(unit - half, unit + half)[2]
            found = _look(W, N, candidate)
            if found[0] <= value or size < SMALL_STEP:
                break
        else:
            candidate = _majorised(W, F, a, N, D)
            found = _look(W, N, candidate)
            if not found[0] < value:
                break
        gain = value - found[0]
        D, (value, F, a) = candidate, found
        if size < SMALL_STEP or gain <= least:
            break
    return D, a


def _look(W: np.ndarray, N: np.ndarray | None, D: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    F = D.T @ W @ D
    a = np.diagonal(F, axis1=1, axis2=2)
    u = np.log(a).sum(axis=1)
    return float(np.exp(u / len(D)).sum() if N is None else N @ u), F, a


def _newton_step(F: np.ndarray, a: np.ndarray, N: np.ndarray | None) -> np.ndarray:
    """Skew S, by the Hessian with its eigenvalues made positive: always a way down, and Newton's near a minimum."""
    d = a.shape[1]
    i, j, ends, brackets = _pairs(d)
    inverse = 1.0 / a
    off = 2.0 * F[:, i, j]
    contrast = inverse[:, j] - inverse[:, i]
    slopes = off * contrast  # du_k / dS_ij, (K, P)
    c = np.exp(np.log(a).mean(axis=1)) / d if N is None else N
    gradient = c @ slopes
    weighted = (c[:, None] * contrast).T @ F.reshape(len(F), -1)  # (P, d d)
    hessian = 2.0 * (brackets @ weighted[:, :, None])[:, :, 0]
    hessian = 0.5 * (hessian + hessian.T)
    moves = (np.sqrt(c)[:, None] * inverse)[:, :, None] * ends * off[:, None, :]  # da_kj / a_kj, (K, d, P)
    moves = moves.reshape(-1, len(i))
    hessian -= moves.T @ moves
    if N is None:
        hessian += (slopes.T * (c / d)) @ slopes
    _, step, not_positive = lapack.dposv(hessian, gradient)
    if not_positive:
        values, vectors = np.linalg.eigh(hessian)
        values = np.abs(values)
        step = vectors @ ((gradient @ vectors) / np.maximum(values, 1e-12 * values.max() + 1e-300))
    longest = np.abs(step).max()
    if longest > LONGEST_STEP:
        step *= LONGEST_STEP / longest
    S = np.zeros((d, d))
    S[i, j], S[j, i] = -step, step
    return S


def _conjugate_step(F: np.ndarray, a: np.ndarray, N: np.ndarray | None) -> np.ndarray:
    """Skew S, by conjugate gradients on Newton's equations: always a way down (Nocedal & Wright 2006, algorithm 7.1).

    The gradient is G = 2 (B - B^T), B = sum_k c_k F_k A_k^-1 with A_k = diag(a_k). Along S, with Q_k = [F_k, S] and
    q_kj = (Q_k)_jj / a_kj, B changes by sum_k c_k (Q_k - F_k diag(q_k)) A_k^-1, for EVE with c_k mean_j(q_kj) more of
    F_k; and [G, S] / 2 is taken off, because rotations do not commute. The preconditioner is the curvature in each
    plane once it is right and if the others were.
    """
    d = a.shape[1]
    inverse = 1.0 / a
    c = np.exp(np.log(a).mean(axis=1)) / d if N is None else N
    cF = c[:, None, None] * F
    half = (cF * inverse[:, None, :]).sum(axis=0)
    gradient = 2.0 * (half - half.T)
    gaps = (a[:, :, None] - a[:, None, :]) ** 2 + 4.0 * F**2
    plane = 2.0 * np.einsum("kij,ki,kj->ij", gaps, c[:, None] * inverse, inverse)
    plane = np.maximum(plane, max(1e-12 * plane.max(), LEAST_CURVATURE * c.sum()))
    if not np.isfinite(gradient).all():
        raise np.linalg.LinAlgError

    def curvature(S: np.ndarray) -> np.ndarray:
        Q = cF @ S
        Q += Q.swapaxes(1, 2)
        q = np.diagonal(Q, axis1=1, axis2=2) * inverse / c[:, None]
        # what multiplies F: the change of 1 / a, and for EVE that of c too
        change = -q * inverse if N is not None else (q.sum(axis=1)[:, None] / d - q) * inverse
        change = (Q * inverse[:, None, :] + cF * change[:, None, :]).sum(axis=0)
        change = 2.0 * change - 0.5 * (gradient @ S)
        return change - change.T

    S = np.zeros((d, d))
    rest = -gradient
    scaled = rest / plane
    way, length = scaled, (rest * scaled).sum()
    # as exact as the step is small: Newton's method then stays quadratic
    enough = min(0.1, float(np.abs(scaled).max())) ** 2 * length
    for product in range(MOST_PRODUCTS):
        bent = curvature(way)
        along = (way * bent).sum()
        if not along > 1e-8 * (way * plane * way).sum():
            S = S if product else scaled
            break
        part = length / along
        S = S + part * way
        rest = rest - part * bent
        scaled = rest / plane
        before, length = length, (rest * scaled).sum()
        if length <= enough:
            break
        way = scaled + (length / before) * way
    longest = np.abs(S).max()
    return S if longest <= LONGEST_STEP else S * (LONGEST_STEP / longest)


@cache
def _pairs(d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Planes of rotation (i, j), P of them; which a_j each moves, (d, P); and [F, G_p]_q as a map of F, (q, p, d d)."""
    i, j = np.triu_indices(d, 1)
    P = len(i)
    ends = np.zeros((d, P))
    ends[j, np.arange(P)], ends[i, np.arange(P)] = 1.0, -1.0
    brackets = np.zeros((P, P, d, d))
    for p in range(P):
        r, s = i[p], j[p]
        for q in range(P):
            m, n = i[q], j[q]
            if s == n:
                brackets[q, p, m, r] += 1.0
            if r == n:
                brackets[q, p, m, s] -= 1.0
            if r == m:
                brackets[q, p, s, n] -= 1.0
            if s == m:
                brackets[q, p, r, n] += 1.0
    return i, j, ends, brackets.reshape(P, P, d * d)


def _majorised(W: np.ndarray, F: np.ndarray, a: np.ndarray, N: np.ndarray | None, D: np.ndarray) -> np.ndarray:
    """Minimise the linear majoriser of sum_k tr(D P_k D^T W_k), P_k = c_k diag(1 / a_k), at the present D."""
    c = np.exp(np.log(a).mean(axis=1)) if N is None else N
    P = c[:, None] / a
    largest = np.linalg.eigvalsh(W)[:, -1]
    G = ((W @ D) * P[:, None, :]).sum(axis=0) - D * (largest @ P)
    if not np.isfinite(G).all():
        return D
    left, _, right = np.linalg.svd(G)
    return -left @ right


EVE = family_by_code("EVE", maximise_eve)
VVE = family_by_code("VVE", maximise_vve)
