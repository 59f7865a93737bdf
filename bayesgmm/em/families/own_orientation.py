"""One shape, each component its own orientation: EEV, VEV (Celeux & Govaert 1995, section 3.1).

Sigma_k = lambda_k D_k A D_k^T. With W_k = L_k Omega_k L_k^T, eigenvalues decreasing, the best D_k is L_k: the
eigenvalues of all components are paired by rank. A component's own scatter may be singular, their sum may not.
"""

import numpy as np

from bayesgmm.em.families.family import family_by_code
from bayesgmm.em.families.proportional import proportional_variances


def maximise_eev(scatter: np.ndarray, N: np.ndarray, previous: np.ndarray | None = None) -> np.ndarray:
    """EEV, [lambda D_k A D_k^T]: lambda A = sum_k Omega_k / sum_k N_k."""
    spectra, vectors = _spectra(scatter)
    return _turned(vectors, spectra.sum(axis=0) / N.sum())


def maximise_vev(scatter: np.ndarray, N: np.ndarray, previous: np.ndarray | None = None) -> np.ndarray:
    """VEV, [lambda_k D_k A D_k^T]: lambda_k = tr(Omega_k A^-1) / (D N_k), A proportional to sum_k Omega_k / lambda_k.

    Ranks (increasing here) are the same for every component and for A, so that the two equations, solved for given
    D_k, are solved for all three.
    """
    spectra, vectors = _spectra(scatter)
    start = None if previous is None else np.linalg.eigvalsh(previous[N.argmax()])
    return _turned(vectors, proportional_variances(spectra, N, start)[:, None, :])


def _spectra(scatter: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues (K, D), increasing and not negative by rounding, and eigenvectors (K, D, D)."""
    try:
        values, vectors = np.linalg.eigh(scatter)
    except np.linalg.LinAlgError:
        return np.full(scatter.shape[:2], np.nan), np.full(scatter.shape, np.nan)
    return np.maximum(values, 0.0), vectors


def _turned(vectors: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """D_k diag(variances) D_k^T, symmetric to the last bit."""
    half = vectors * np.sqrt(variances)
    return half @ half.swapaxes(-1, -2)


EEV = family_by_code("EEV", maximise_eev)
VEV = family_by_code("VEV", maximise_vev)
