"""The conjugate prior of MAP-EM (Fraley & Raftery 2007): a fit exists where likelihood alone has none.

Each component's mean and covariance have the prior

    mu_k | Sigma_k ~ N(mu_P, Sigma_k / kappa),   Sigma_k ~ InverseWishart(nu, Lambda),

with mu_P the mean of the data, kappa = 0.01, nu = D + 2 and Lambda the data's covariance (divisor N - 1) over
K^(2/D) (J. Classif. 24, section 3). The mode of VVV is theirs: with mu_k = (n_k xbar_k + kappa mu_P) / (n_k + kappa)
and C_k the scatter about mu_k,

    Sigma_k = (Lambda + kappa (mu_k - mu_P)(mu_k - mu_P)^T + C_k) / (nu + D + n_k + 2),

a covariance shrunk towards Lambda. Where components share one covariance, that has the prior once: EEE is theirs too.
They give modes for ten families, with priors of their own for the diagonal ones; here one and the same prior is
restricted to each of the fourteen, which makes its M-step that of a little more data. It is not the prior of the PyMC
model. The share of noise, where there is any, has the prior Beta(1, 9): nine rows in ten are in clusters, weakly.

May import NumPy, SciPy, scikit-learn and the modules below it only.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import xlog1py, xlogy
from sklearn.covariance import ledoit_wolf_shrinkage

from bayesgmm.data.observations import Observations
from bayesgmm.mixture.parameters import MixtureParameters

KAPPA = 0.01

FEW_ROWS = 2
"""With fewer rows for each column than this the data's own covariance is shrunk too (Ledoit & Wolf 2004)."""

MOST_ROWS = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class ConjugatePrior:
    """Prior of means, covariances and the share of noise, in standard coordinates.

    Attributes
    ----------
    mean : (D,) float64
        mu_P.
    kappa : float
        Rows that the prior mean is worth.
    dof : float
        nu.
    scale : (D, D) float64
        Lambda.
    noise : (float, float)
        a and b of the Beta distribution of the share of noise, where there is noise.
    """

    mean: np.ndarray
    kappa: float
    dof: float
    scale: np.ndarray
    noise: tuple[float, float] = (1.0, 9.0)

    def noise_share(self, noise: float, clustered: float) -> float:
        """Mode of the share of noise, of `noise` rows beside `clustered` ones."""
        a, b = self.noise
        return (noise + a - 1.0) / (noise + clustered + a + b - 2.0)

    def means(self, N: np.ndarray, S1: np.ndarray) -> np.ndarray:
        """Modes of the means given sums S1 (K, D) of N (K,) rows."""
        return (S1 + self.kappa * self.mean) / (N + self.kappa)[:, None]

    def add_to(
        self, scatter: np.ndarray, N: np.ndarray, means: np.ndarray, *, common: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scatter about `means` and rows as the M-step shall see them: the data's and the prior's.

        Parameters
        ----------
        scatter : (K, D, D), or (K, D) for diagonals
        N : (K,)
        means : (K, D)
        common : bool
            Whether all components share one covariance, which has the prior once.
        """
        K, D = means.shape
        times = 1.0 / K if common else 1.0
        off = means - self.mean
        if scatter.ndim == 2:
            more = times * np.diagonal(self.scale) + self.kappa * off**2
        else:
            more = times * self.scale + self.kappa * off[:, :, None] * off[:, None, :]
        return scatter + more, N + 1.0 + times * (self.dof + D + 1)

    def log_density(self, parameters: MixtureParameters, *, common: bool) -> float:
        """Log prior density, but for a constant: what `add_to` adds to the M-step's objective."""
        K, D = parameters.means.shape
        U = parameters.precision_cholesky
        times = 1.0 / K if common else 1.0
        quadratic = (np.einsum("kij,ki->kj", U, parameters.means - self.mean) ** 2).sum(axis=1)
        trace = np.einsum("kij,il,klj->k", U, self.scale, U)
        log_det = parameters.log_det_precision_cholesky
        terms = (1.0 + times * (self.dof + D + 1)) * log_det - 0.5 * (times * trace + self.kappa * quadratic)
        total = float(terms.sum())
        if parameters.noise is not None:
            share, (a, b) = parameters.noise.weight, self.noise
            total += float(xlogy(a - 1.0, share) + xlog1py(b - 1.0, -share))
        return total


def conjugate_prior(observations: Observations, n_components: int) -> ConjugatePrior:
    """Return the default prior for some data and K, in standard coordinates."""
    D = observations.n_features
    # a search over K and families asks for it in each cell
    covariance = observations.remember("shrunk covariance", lambda: _covariance(observations))
    return ConjugatePrior(np.zeros(D), KAPPA, D + 2.0, covariance / n_components ** (2.0 / D))


def _covariance(observations: Observations) -> np.ndarray:
    """Covariance (divisor N - 1) in standard coordinates, (D, D)."""
    total = observations.total_weight
    covariance = observations.covariance() * total / (total - 1.0) / observations.scale**2
    return _shrunk(observations, covariance) if observations.n_rows < FEW_ROWS * observations.n_features else covariance


def _shrunk(observations: Observations, covariance: np.ndarray) -> np.ndarray:
    """Shrink correlations towards none: they are estimated from too few rows."""
    spread = np.sqrt(np.diagonal(covariance))
    rows = (observations.values[:MOST_ROWS] - observations.shift) / (observations.scale * spread)
    share = ledoit_wolf_shrinkage(rows, assume_centered=True)
    return (1 - share) * covariance + share * np.diag(spread**2)
