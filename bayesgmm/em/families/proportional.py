"""One shape with a volume for each component: the inner problem that VEI, VEV (variances) and VEE (matrices) share.

Alternating lambda_k = tr(C_k B^-1) / (D N_k) and B = sum_k C_k / lambda_k (Celeux & Govaert 1995) climbs, but only
linearly. With the volumes put in, what is left, D sum_k N_k log tr(C_k B^-1) + n log det B, is convex along
B = R exp(-S) R^T, so Newton's step is taken and the alternating one is kept for where it does not descend.
"""

import numpy as np
from scipy.linalg import lapack  # without the checks of numpy.linalg, which cost as much as these small problems

MAX_STEPS = 200
SMALL_STEP = 1e-5
"""A Newton step this small leaves an error of its square."""


def proportional_variances(scatter: np.ndarray, N: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """Variances lambda_k b_j that maximise -1/2 sum_kj (N_k log(lambda_k b_j) + s_kj / (lambda_k b_j)).

    Parameters
    ----------
    scatter : (K, D)
        The s_kj. A component of zeros gets the volume zero and does not speak for the shape.
    N : (K,)
    start : (D,), optional
        A multiple of the shape to begin from.

    Returns
    -------
    (K, D)
    """
    K, D = scatter.shape
    pooled = scatter.sum(axis=0)
    if not (pooled > 0).all() or D == 1 or K == 1:
        # without a spread in some feature there is no shape: the singular answer is for the floor to lift
        return np.repeat(pooled[None] / N.sum(), K, axis=0) if D > 1 else scatter / N[:, None]
    alive = scatter.sum(axis=1) > 0
    s, weight = (scatter, N) if alive.all() else (scatter[alive], N[alive])
    s = np.maximum(s, 0.0)
    n = weight.sum()

    def look(b: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        ratio = s / b
        total = ratio.sum(axis=1)
        return D * (weight @ np.log(total)) + n * np.log(b).sum(), ratio, total

    with np.errstate(all="ignore"):
        b = pooled if start is None else start
        value, ratio, total = look(b)
        for _ in range(MAX_STEPS):
            p = ratio / total[:, None]
            spread = D * (weight @ p)
            hessian = n / D - (D * weight * p.T) @ p
            hessian.flat[:: D + 1] += spread
            _, step, failed = lapack.dposv(hessian, spread - n)
            size = np.nan if failed else np.abs(step).max()
            candidate = b * np.exp(step)
            found = look(candidate)
            if not (found[0] <= value or size < SMALL_STEP):
                candidate = b * spread / n
                size = np.abs(spread / n - 1).max()
                found = look(candidate)
                if not found[0] <= value:
                    break
            b, (value, ratio, total) = candidate, found
            if size < SMALL_STEP:
                break
        volumes = np.zeros(K)
        volumes[alive] = total / (D * weight)
        return volumes[:, None] * b


def proportional_matrices(scatter: np.ndarray, N: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """Covariances lambda_k C that maximise -1/2 sum_k (N_k log det(lambda_k C) + tr(C_k C^-1) / lambda_k).

    In the coordinates where the present C is the identity, V_k = R^-1 C_k R^-T, the step S of C = R exp(-S) R^T solves
    n S - D sum_k N_k U_k tr(U_k S) = n I - D sum_k N_k U_k, U_k = V_k / tr V_k: exact where the right side vanishes,
    hence as fast as Newton's; by Woodbury a system of K equations, whatever D.

    Parameters
    ----------
    scatter : (K, D, D)
        A component without scatter gets the volume zero and does not speak for the shape.
    N : (K,)
    start : (D, D), optional
        A multiple of C to begin from.

    Returns
    -------
    (K, D, D)
    """
    K, D = scatter.shape[:2]
    pooled = scatter.sum(axis=0)
    if D == 1:
        return scatter / N[:, None, None]
    root, singular = lapack.dpotrf(pooled, lower=1, clean=1)
    if start is not None and not singular:
        root, singular = lapack.dpotrf(start, lower=1, clean=1)
    if singular:
        return np.repeat(pooled[None] / N.sum(), K, axis=0)
    inverse = lapack.dtrtri(root, lower=1)[0]
    alive = scatter.reshape(K, D * D)[:, :: D + 1].sum(axis=1) > 0
    weight = N[alive]
    n, unit = weight.sum(), np.eye(D)
    V = inverse @ scatter[alive] @ inverse.T
    total = V.reshape(-1, D * D)[:, :: D + 1].sum(axis=1)

    def turned(V: np.ndarray, values: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        back = vectors * np.exp(-0.5 * values)
        V = back.T @ V @ back
        total = V.reshape(-1, D * D)[:, :: D + 1].sum(axis=1)
        return V, total, D * (weight @ np.log(total)) + n * values.sum()

    with np.errstate(all="ignore"):
        value = D * (weight @ np.log(total))  # log det C counts from the present C
        for _ in range(MAX_STEPS):
            U = (V / total[:, None, None]).reshape(-1, D * D)
            mean = (weight @ U).reshape(D, D) * (D / n)
            right = (unit - mean).ravel()
            traceless = U - unit.ravel() / D
            system = -traceless @ traceless.T
            system.flat[:: len(weight) + 1] += n / (D * weight)
            step = (right + traceless.T @ lapack.dgesv(system, traceless @ right)[2]).reshape(D, D)
            values, vectors, failed = lapack.dsyev(-0.5 * (step + step.T))
            size = np.nan if failed else np.abs(values).max()
            found = turned(V, values, vectors)
            if not (found[2] <= value or size < SMALL_STEP):
                spectrum, vectors = np.linalg.eigh(0.5 * (mean + mean.T))
                values = np.log(spectrum)
                size = np.abs(values).max()
                found = turned(V, values, vectors)
                if not found[2] <= value:
                    break
            V, total = found[:2]
            value = found[2] - n * values.sum()
            root = root @ (vectors * np.exp(0.5 * values))
            if size < SMALL_STEP:
                break
        volumes = np.zeros(K)
        volumes[alive] = total / (D * weight)
        return volumes[:, None, None] * (root @ root.T)
